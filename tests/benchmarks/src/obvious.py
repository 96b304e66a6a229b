"""The same pages, read and kept as anybody would write it in Python. Prints the CPU seconds of it."""

import gzip
import json
import sys
import time

import requests

origin, folder, *users = sys.argv[1:]
session = requests.Session()
begun = time.process_time()
for user in users:
    url = f"{origin}/v1.0/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions?$top=100"
    with gzip.open(f"{folder}/{user}.jsonl.gz", "at", compresslevel=6, encoding="utf-8") as archive:
        while url:
            answer = session.get(url, headers={"Authorization": "Bearer e30.e30.sig"}, timeout=60)
            answer.raise_for_status()
            page = answer.json()
            for interaction in page["value"]:
                record = {"user_id": user, "fetched_at": "2026-11-24T03:00:00Z", "interaction": interaction}
                archive.write(json.dumps(record, ensure_ascii=False) + "\n")
            url = page.get("@odata.nextLink")
print(time.process_time() - begun)
