"""Invokes a function of a stack that `tests/deployed/run --keep` left running: invoke.py ENDPOINT FUNCTION PAYLOAD"""

import json
import sys

from emulator import client


def main():
    endpoint, function, payload = sys.argv[1:]
    answer = client(endpoint, "lambda").invoke(FunctionName=function, Payload=payload.encode())
    print(json.dumps(json.loads(answer["Payload"].read()), indent=2))
    return 1 if "FunctionError" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
