"""Runs every check of the templates, then the checks of the checks. Offline, without an AWS account."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import access  # noqa: F401
import catalog  # noqa: F401
import custody  # noqa: F401
import logbook  # noqa: F401
import mutations_custody  # noqa: F401
import wiring  # noqa: F401
from combinations import COMBINATIONS
from evaluate import ROOT, Templates, read
from mutations import MUTATIONS, broken
from runner import CHECKS, failures

# What no change of a template can break, and what is too plain to: `queues` compares two numbers.
UNMUTATED = {"queues", "deploy_configuration", "the_evaluator_knows_iam", "the_log_is_documented", "the_metrics_are_documented", "the_questions_are_pairs"}

BIN = pathlib.Path(sys.executable).parent


class Score:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, what, problem):
        if problem:
            self.failed += 1
            print(f"FAILED  {what}\n        {problem}")
        else:
            self.passed += 1
            print(f"ok      {what}")


def tool(*arguments):
    """What a tool complains about; empty if it is content."""
    # No account is asked: a region is all the tools want to know.
    environment = {**os.environ, "AWS_DEFAULT_REGION": "eu-central-1", "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run([BIN / arguments[0], *arguments[1:]], cwd=ROOT, env=environment, capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"


def lint(score, templates):
    score.add("sam validate --lint", tool("sam", "validate", "--lint", "--template-file", "template.yaml"))
    score.add("cfn-lint of the templates as written", tool("cfn-lint", *templates.written))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "translated.json"
        path.write_text(json.dumps(templates.translated))
        # The nested templates' addresses are local paths until they are packaged, and empty lists are split only where there
        # are some.
        score.add("cfn-lint of the template without SAM", tool("cfn-lint", "--ignore-checks", "W3002", "W1033", "--", str(path)))
        paths = list(evaluated(templates, pathlib.Path(folder)))
        what = f"cfn-lint of what {len(COMBINATIONS)} sets of parameters deploy"
        score.add(what, tool("cfn-lint", "--ignore-checks", "W3002", "--", *paths))


def evaluated(templates, folder):
    """What each set of parameters deploys, every part of it once, as templates without conditions."""
    seen = set()
    for parameters in COMBINATIONS.values():
        for part in templates.stack(**parameters).stacks():
            resources = {name: {key: value for key, value in resource.items() if key != "Condition"} for name, resource in part.resources.items()}
            text = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})
            if text not in seen:
                seen.add(text)
                path = folder / f"part-{len(seen)}.json"
                path.write_text(text)
                yield str(path)


def main():
    score = Score()
    written = read()
    templates = Templates(written)
    lint(score, templates)
    found = failures(CHECKS, templates)
    for check in CHECKS:
        score.add(check.__doc__.strip(), found.get(check.__name__))
    by_name = {check.__name__: check for check in CHECKS}
    for noticed_by, mutation in MUTATIONS:
        what = f"broken on purpose: {mutation.__name__.replace('_', ' ')}"
        mutated = broken(written, mutation)
        same = "the mutation changes nothing" if mutated == written else None
        missed = None if failures([by_name[noticed_by]], Templates(mutated)) else f"{noticed_by} does not notice"
        score.add(what, same or missed)
    idle = set(by_name) - {noticed_by for noticed_by, _ in MUTATIONS} - UNMUTATED
    score.add("every check was seen to fail", f"not seen: {sorted(idle)}" if idle else None)
    print(f"{score.passed} passed, {score.failed} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())
