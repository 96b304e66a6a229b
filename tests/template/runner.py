"""Collects the checks. A check is a function over all templates that raises on what it finds."""

CHECKS = []


def check(function):
    """Registers a check. Its docstring is the sentence that is printed."""
    CHECKS.append(function)
    return function


def expect(truth, *what):
    if not truth:
        raise AssertionError(" ".join(str(part) for part in what))


def same(found, expected, *what):
    expect(found == expected, *what, f"found {found!r}, expected {expected!r}")


def failures(checks, templates):
    """What each check found, by its name; nothing of those that passed."""
    found = {}
    for function in checks:
        try:
            function(templates)
        # A template that a check cannot even read fails it as well.
        except Exception as error:  # noqa: BLE001
            found[function.__name__] = f"{type(error).__name__}: {error}"
    return found


def listed(value):
    return value if isinstance(value, list) else [value]
