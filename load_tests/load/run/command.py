"""`fraudsim load run` from its options to its exit code."""

from collections.abc import Callable

from fraudsim.process.stop_signals import stop_on_signals
from load_tests.load.autopsy.stall_probe import stall_probe
from load_tests.load.report.files import write_report
from load_tests.load.report.result import result_of
from load_tests.load.report.text import print_result
from load_tests.load.run.options import LoadOptions
from load_tests.load.run.probe import LoadProbe, figures_of
from load_tests.load.verdict.verdict import EXIT_CODES

Say = Callable[[str], None]


def run_load(options: LoadOptions, say: Say) -> int:
    """Measure, write the result, and print it; returns the exit code.

    Raises:
        FraudsimError: the target or the folder is not usable.
    """
    stop = stop_on_signals()
    probe = LoadProbe(options, stop, say)
    rounds = []
    stalls = probe.options.out / "stalls.txt"
    with stall_probe(stalls, options.spin):
        for number in range(options.rounds):
            if number and not stop.is_set():
                probe.restart()
            if stop.is_set():
                break
            rounds.append(probe.send(options.rate, options.seconds, options.seed + number))
    probed = probe.conclude(rounds)
    own = [figures_of(probe.conclude([sent])) for sent in rounds]
    context = {**probe.describe(), "costs": probed.costs, "rounds_figures": own}
    result = result_of(probed.measurement, options.objectives, probed.verdict, context)
    happenings = probe.happenings(stalls, probed.measurement.records)
    write_report(probe.options.out, probed.measurement, probed.verdict, result, happenings)
    print_result(result, probed.verdict, say)
    say(f"written: {options.out}/result.json, {options.out}/report.html")
    return EXIT_CODES[probed.verdict.word]
