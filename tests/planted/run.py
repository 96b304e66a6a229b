"""Every planted bug is found, by the tests that are named for it."""

import argparse
import concurrent.futures
import os
import sys
import time

import table
import tests
import tree

# Suites whose tests judge what a whole job left behind: by its evidence, by the simulator's truth, by its ledger of requests,
# by a search of all that left it.
WHOLE_JOB = ("end-to-end suite", "end-to-end faults", "end-to-end hostile")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="run all tests of the suites, not only those that are named")
    parser.add_argument("--write", action="store_true", help="write what fails into the document; implies --all")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("bugs", nargs="*", help="only these")
    return parser.parse_args()


def differences(named, red, universe):
    """What is not as the document says it is, for one bug."""
    found = []
    for suite, exist in universe.items():
        expected, failed = named.get(suite, set()), red.get(suite, set())
        found += [f"{suite} has no test {name}" for name in sorted(expected - exist)]
        found += [f"{suite} {name} passed" for name in sorted((expected & exist) - failed)]
        found += [f"{suite} {name} failed, and is not named" for name in sorted(failed - expected)]
    found += [f"there is no suite {suite}" for suite in sorted(named.keys() - universe.keys())]
    if not any(red.get(suite) for suite in WHOLE_JOB):
        found.append("no test of a whole job finds it")
    return found


def main():
    options = arguments()
    everything = options.all or options.write
    named = table.read()
    planted = tree.bugs()
    if named.keys() != planted.keys():
        sys.exit(f"planted or described, not both: {sorted(named.keys() ^ planted.keys())}")
    chosen = options.bugs or sorted(planted)
    if unknown := set(chosen) - planted.keys():
        sys.exit(f"no such bugs: {sorted(unknown)}")
    began = time.monotonic()
    copy = tree.write()
    programs = tree.build(copy)
    holders = tree.holders(copy)
    universe = {suite: set(tests.listed(program, folder)) for suite, program, folder in programs}
    print(f"{len(planted)} bugs, {sum(map(len, universe.values()))} tests, built in {time.monotonic() - began:.0f} s", flush=True)

    def asked(suite, of):
        if everything:
            return sorted(universe[suite])
        return sorted(universe[suite] & set().union(*(named[bug].get(suite, set()) for bug in of)))

    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)

    def start(of, bug, limits):
        """Runs what is asked of every suite that can have the bug in it; the outcomes by suite."""
        started = {}
        for suite, program, folder in programs:
            parts = holders[str(folder.relative_to(copy))]
            if not bug or any(parts & {"/".join(plant["file"].split("/")[:2])} for plant in planted[bug]):
                limit = limits.get(suite, {}) if bug else None
                started[suite] = pool.submit(tests.failing, program, folder, asked(suite, of), bug, limit)
        return started

    limits, failed = {}, []
    for suite, run in start(chosen, None, {}).items():
        bad, limits[suite] = run.result()
        failed += [f"{suite} {name} failed" for name in sorted(bad)]
    sound = not failed
    print(f"{'ok  ' if sound else 'FAIL'} without the switch", *failed, sep="\n     ", flush=True)

    passed = int(sound)
    runs = {bug: start([bug], bug, limits) for bug in chosen}
    for bug in chosen:
        red = {suite: run.result()[0] for suite, run in runs[bug].items()}
        if options.write:
            table.write({bug: red})
            named[bug] = red
        wrong = differences(named[bug], red, universe)
        passed += not wrong
        count, whole = sum(map(len, red.values())), sum(len(red.get(suite, ())) for suite in WHOLE_JOB)
        word = "FAIL" if wrong else "ok  "
        print(f"{word} {bug}: {count} tests fail, {whole} of whole jobs", *wrong, sep="\n     ", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {len(chosen) + 1 - passed} failed")
    sys.exit(passed != len(chosen) + 1)


main()
