"""Pages every user of the simulator with Microsoft's own client and holds what it read against the truth.

The client knows nothing of us: it follows next links and parses interactions as it does against Graph. If its items equal
the truth, the simulator speaks the protocol and not merely what our own client expects.
"""

import asyncio
import json
import pathlib
import subprocess
import sys
import tempfile

from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider, AccessTokenProvider, AllowedHostsValidator
from kiota_abstractions.base_request_configuration import RequestConfiguration
from microsoft_agents_m365copilot import AgentsM365CopilotServiceClient
from microsoft_agents_m365copilot.agents_m365_copilot_request_adapter import AgentsM365CopilotRequestAdapter
from microsoft_agents_m365copilot.generated.copilot.users.item.interaction_history.get_all_enterprise_interactions.get_all_enterprise_interactions_request_builder import (
    GetAllEnterpriseInteractionsRequestBuilder as Builder,
)
from microsoft_agents_m365copilot.generated.models.o_data_errors.o_data_error import ODataError

TOKEN = "a-token-of-the-test"
ROOT = pathlib.Path(__file__).resolve().parents[2]
# What this client reads in one go is far above the quota, and it gives up at the first 429.
SWITCHES = {"quota": {"enforced": False}}


class StaticToken(AccessTokenProvider):
    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return TOKEN

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


class Bearer(BaseBearerTokenAuthenticationProvider):
    """The stock provider sends tokens to https only; the simulator listens on loopback without TLS."""

    async def authenticate_request(self, request, additional_authentication_context={}):
        request.headers.add("Authorization", f"Bearer {TOKEN}")


async def items_of(client, user):
    """All items of a user, page by page; None if the service says that there is nothing to read."""
    builder = client.copilot.users.by_ai_user_id(user).interaction_history.get_all_enterprise_interactions
    top = RequestConfiguration(query_parameters=Builder.GetAllEnterpriseInteractionsRequestBuilderGetQueryParameters(top=100))
    try:
        page = await builder.get(top)
        items = list(page.value)
        pages = 1
        while page.odata_next_link:
            page = await builder.with_url(page.odata_next_link).get()
            items.extend(page.value)
            pages += 1
    except ODataError as error:
        if error.response_status_code in (403, 404):
            return None, 1
        raise
    return items, pages


def facts_of_model(item):
    sender = None
    if item.from_ and item.from_.user:
        sender = item.from_.user.id
    elif item.from_ and item.from_.application:
        sender = item.from_.application.id
    return (
        item.id,
        item.session_id,
        item.request_id,
        item.etag,
        item.app_class,
        item.conversation_type,
        item.locale,
        sender,
        item.body.content if item.body else None,
        tuple((a.attachment_id, a.content_type, a.content) for a in item.attachments or []),
        tuple((link.link_url, link.display_name) for link in item.links or []),
        tuple((c.context_reference, c.context_type) for c in item.contexts or []),
    )


def facts_of_truth(item):
    sender = None
    if (item.get("from") or {}).get("user"):
        sender = item["from"]["user"]["id"]
    elif (item.get("from") or {}).get("application"):
        sender = item["from"]["application"]["id"]
    return (
        item.get("id"),
        item.get("sessionId"),
        item.get("requestId"),
        item.get("etag"),
        item.get("appClass"),
        item.get("conversationType"),
        item.get("locale"),
        sender,
        (item.get("body") or {}).get("content"),
        tuple((a["attachmentId"], a["contentType"], a["content"]) for a in item.get("attachments") or []),
        tuple((link["linkUrl"], link["displayName"]) for link in item.get("links") or []),
        tuple((c["contextReference"], c["contextType"]) for c in item.get("contexts") or []),
    )


async def compare(origin, truth):
    adapter = AgentsM365CopilotRequestAdapter(Bearer(StaticToken()))
    adapter.base_url = f"{origin}/v1.0"
    client = AgentsM365CopilotServiceClient(request_adapter=adapter)
    passed = failed = read = paged = 0
    for path in sorted(truth.glob("????????-*.jsonl")):
        expected = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        items, pages = await items_of(client, path.stem)
        paged += pages
        if items is None:
            continue
        got = sorted(map(facts_of_model, items), key=repr)
        want = sorted(map(facts_of_truth, expected), key=repr)
        if got == want:
            passed += 1
            read += len(items)
        else:
            failed += 1
            missing = [fact for fact in want if fact not in got]
            extra = [fact for fact in got if fact not in want]
            print(f"{path.stem}: {len(missing)} of {len(want)} missing or different, {len(extra)} unexpected")
    print(f"Microsoft's client read {read} items of {passed} users on {paged} pages")
    # A run that read nobody proves nothing.
    if read == 0 or paged <= passed:
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed


def main():
    simulator = ROOT / "target" / "debug" / "graph-simulator"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        switches = folder / "switches.json"
        switches.write_text(json.dumps({"switches": SWITCHES}))
        truth = folder / "truth"
        command = [simulator, "--tame", "--profile", "small", "--static-token", TOKEN]
        command += ["--switches", switches, "--write-truth", truth]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                origin = json.loads(process.stdout.readline())["origin"]
                return asyncio.run(compare(origin, truth))
            finally:
                process.terminate()
                # What it says of the requests it saw.
                print(process.communicate()[0], end="")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
