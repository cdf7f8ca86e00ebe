"""The C++ main program of a simulation in bulk: cocotb on Verilator, without its cost in cycles of which Python wants to hear nothing.

cocotb's own program asks the VPI (the simulator's interface to Python) several times in each time step. Here, after a time step in which
Python was not called and with no timer running, all that it can wait for is a change of the one public signal: time steps are evaluated in
a row until it changes, 1.3 times as fast. All other steps go through the regions of IEEE 1800-2017, 4.4.2 in order: any cocotb test works.
"""

from __future__ import annotations

from string import Template

MAIN = Template("""#include <algorithm>
#include <cstdint>
#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"
#include "verilated_vpi.h"

extern "C" void vlog_startup_routines_bootstrap(void);

static const uint64_t NEVER = ~uint64_t{0};
static uint64_t now = 0;
double sc_time_stamp() { return static_cast<double>(now); }  // Verilator asks for the time by this name

static bool called = false;  // whether Python was called in this time step, and so may wait for something new

static void call(uint32_t reason) { called |= VerilatedVpi::callCbs(reason); }
static void tell_changes() { while (VerilatedVpi::callValueCbs()) called = true; }

static void take_writes() {
    VerilatedVpi::doInertialPuts();
    tell_changes();
}

static void settle(Vtop& top) {  // for the design and for Python, until neither changes anything
    do {
        do {
            top.eval_step();
            VerilatedVpi::clearEvalNeeded();
            take_writes();
        } while (VerilatedVpi::evalNeeded());
        call(cbReadWriteSynch);
        take_writes();
    } while (VerilatedVpi::evalNeeded());
    top.eval_end_step();
    call(cbReadOnlySynch);
}

static uint64_t next_step(Vtop& top) { return top.eventsPending() ? top.nextTimeSlot() : NEVER; }

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
#if VM_TRACE
    Verilated::traceEverOn(true);
#endif
    Vtop top{""};
    Verilated::fatalOnVpiError(false);  // cocotb asks for things that Verilator does not have
    vlog_startup_routines_bootstrap();
    Verilated::addExitCb([](void*) { VerilatedVpi::callCbs(cbEndOfSimulation); }, nullptr);
    VerilatedVpi::callCbs(cbStartOfSimulation);
    tell_changes();
    const auto& signal = top.rootp->$signal;
    while (!Verilated::gotFinish()) {
        settle(top);
        if (!called && VerilatedVpi::cbNextDeadline() == NEVER) {
            const auto before = signal;
            for (uint64_t next; signal == before && !Verilated::gotFinish() && (next = next_step(top)) != NEVER;) {
                now = next;
                top.eval();
            }
            if (signal != before) continue;  // settling again changes nothing in the design and tells Python
        }
        const uint64_t next = std::min<uint64_t>(VerilatedVpi::cbNextDeadline(), next_step(top));
        if (next == NEVER) break;
        now = next;
        called = false;
        call(cbNextSimTime);
        tell_changes();
        call(cbAfterDelay);
        tell_changes();
    }
    top.final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
    return Verilated::threadContextp()->errorCount() > 0;
}
""")


def bulk_main(top: str, public: str) -> str:
    """The program for the module `top`, of whose signals only `public` is visible to Python."""
    assert "__" not in top + public, "Verilator writes two underscores in another way"
    return MAIN.substitute(signal=f"{top}__DOT__{public}")
