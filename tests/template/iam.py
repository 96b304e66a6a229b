"""Decides requests as IAM does: explicit denials first, then what identity, boundary, resource and key policies allow.

It knows what our policies say and refuses to guess about the rest: an operator or a form that it does not know raises.
"""

import fnmatch
import re

from runner import listed


class Request:
    """Who asks for what. The context holds what AWS would know of the call."""

    def __init__(self, principal, action, resource, **context):
        self.principal, self.action, self.resource = principal, action, resource
        # `aws__SecureTransport` stands for aws:SecureTransport.
        self.context = {"aws:SecureTransport": "true", "aws:PrincipalArn": principal}
        self.context |= {name.replace("__", ":"): value for name, value in context.items()}

    @property
    def account(self):
        return self.principal.split(":")[4]


def like(value, pattern):
    """`*` and `?` as in policies: nothing else is special."""
    return re.fullmatch("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), value, re.S) is not None


def holds(operator, key, wanted, context):
    values = listed(context[key]) if key in context else []
    wanted = [str(value) for value in listed(wanted)]
    if operator == "Null":
        return wanted == ["false" if values else "true"]
    if operator == "ForAllValues:StringEquals":
        return all(value in wanted for value in values)
    if operator in ("ArnNotEquals", "ArnNotLike", "StringNotEquals"):
        return not any(like(value, pattern) for value in values for pattern in wanted)
    tests = {
        "StringEquals": lambda value, want: value == want,
        "StringLike": like,
        "ArnEquals": like,
        "ArnLike": like,
        "Bool": lambda value, want: value.lower() == want.lower(),
        "NumericLessThanEquals": lambda value, want: float(value) <= float(want),
    }
    test = tests[operator]
    return any(test(value, want) for value in values for want in wanted)


def speaks_of(statement, request):
    """Whether a statement is about this request, whoever asks."""
    unknown = set(statement) - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown:
        raise ValueError(f"a statement of a form that is not known: {sorted(unknown)}")
    if not any(fnmatch.fnmatchcase(request.action.lower(), action.lower()) for action in listed(statement["Action"])):
        return False
    if not any(like(request.resource, pattern) for pattern in listed(statement["Resource"])):
        return False
    conditions = statement.get("Condition", {})
    return all(holds(operator, key, wanted, request.context) for operator, keys in conditions.items() for key, wanted in keys.items())


def matching(document, request, effect):
    statements = listed(document["Statement"]) if document else []
    return [statement for statement in statements if statement["Effect"] == effect and speaks_of(statement, request)]


def addressed(statement, request):
    """How a resource's statement addresses who asks: by name, through its account, or not."""
    principal = statement["Principal"]
    if principal == "*":
        return "name"
    for arn in listed(principal.get("AWS", [])):
        if arn == request.principal:
            return "name"
        if arn.endswith(f"::{request.account}:root"):
            return "account"
    return None


def allowed(request, identity, boundary=None, resource=None, owner=None):
    """Whether the request is allowed. `owner` is the account of the resource, that of who asks if it is not given."""
    denials = [statement for document in (*identity, boundary) for statement in matching(document, request, "Deny")]
    denials += [statement for statement in matching(resource, request, "Deny") if addressed(statement, request)]
    if denials:
        return False
    by_identity = any(matching(document, request, "Allow") for document in identity)
    by_identity &= boundary is None or bool(matching(boundary, request, "Allow"))
    by_resource = {addressed(statement, request) for statement in matching(resource, request, "Allow")}
    # A key's policy alone decides whether IAM policies count; another account's bucket wants both.
    if request.action.startswith("kms:") or owner not in (None, request.account):
        return "name" in by_resource and (owner in (None, request.account) or by_identity) or "account" in by_resource and by_identity
    return by_identity or "name" in by_resource
