"""The tenant as it is: made before any HTTP existed, and what an archive is held against."""

import collections
import json

from processes import expect, same

MARK = b',"interaction":'


class Truth:
    """What the simulator wrote down of its tenant."""

    def __init__(self, folder):
        self.users = [json.loads(line) for line in (folder / "users.jsonl").read_text().splitlines()]
        self.items = {
            user["user_id"]: set((folder / f"{user['user_id']}.jsonl").read_bytes().splitlines())
            for user in self.users
            if user["readable"] and user["items"]
        }

    @property
    def count(self):
        return sum(len(items) for items in self.items.values())

    def users_of_report(self):
        """The numbers of users that a report of everybody must have, if everybody was read over all time."""
        licensed = [user for user in self.users if user["licensed"]]
        holders = sum(user["holds_sku"] for user in self.users)
        return {
            "enumerated": holders,
            "planned": len(licensed),
            "exported": len(self.items),
            "empty": sum(user["readable"] for user in licensed) - len(self.items),
            "unavailable": sum(not user["readable"] for user in licensed),
            "failed": 0,
            "missing": 0,
        }


def archived(stack):
    """The items of each user, byte for byte as the archive holds them."""
    found = collections.defaultdict(list)
    for key in stack.objects():
        if key.startswith("interactions/"):
            user = key.split("/user_id=")[1].split("/")[0]
            for line in stack.read(key).splitlines():
                found[user].append(line[line.index(MARK) + len(MARK) : -1])
    return found


def expect_truth(stack, truth):
    """The archive holds every item of every readable user, once, byte for byte, and nothing else. How many."""
    found = archived(stack)
    for user in sorted(found.keys() | truth.items.keys()):
        kept, true = found.get(user, []), truth.items.get(user, set())
        missing, extra, twice = len(true - set(kept)), len(set(kept) - true), len(kept) - len(set(kept))
        expect(not (missing or extra or twice), f"user {user}: {missing} items missing, {extra} invented, {twice} twice")
    return sum(map(len, found.values()))


def summed(users):
    """The numbers of users of a report, without the reasons."""
    return {name: sum(value.values()) if isinstance(value, dict) else value for name, value in users.items()}


def lines(report):
    """How many lines a run has added by its report. Those of an attempt that was killed are recovered instead of new."""
    return report["interactions"]["new"] + report["interactions"]["recovered"]


def expect_complete(report):
    """A report that adds up to a complete run."""
    expect(report["complete"], "the run is not complete:", json.dumps(report))
    users, items = summed(report["users"]), report["interactions"]
    same(users["enumerated"], users["excluded"] + users["planned"], "enumerated = excluded + planned")
    classes = ("exported", "empty", "unavailable", "deferred", "failed", "missing")
    same(users["planned"], sum(users[name] for name in classes), "planned = the sum of the classes")
    same(items["received"], items["new"] + items["already_held"], "received = new + already held")
