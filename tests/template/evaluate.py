"""Reads the templates as CloudFormation would: SAM translated, conditions decided, functions resolved.

What stands in a template says little: `!If [HasBoundary, ...]` is right or wrong only for given parameters. So checks look at
the template as evaluated for a set of them.
"""

import json
import logging
import os
import pathlib
import re

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
os.environ["SAM_CLI_TELEMETRY"] = "0"
# The translator measures itself for a telemetry that is off, and complains.
logging.getLogger("samtranslator.metrics.metrics").disabled = True

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
TENANT = "5ac181d0-c896-435a-a745-ac948db1d59a"
ACCOUNT = "111122223333"
REQUIRED = {"GraphTenantId": TENANT, "GraphClientId": TENANT}

NO_VALUE = object()


class Managed:
    """The managed policies of AWS that SAM might want to attach. We want none; the checks see to that."""

    def load(self):
        names = ["AWSLambdaBasicExecutionRole", "AWSLambdaSQSQueueExecutionRole"]
        return {name: f"arn:aws:iam::aws:policy/service-role/{name}" for name in names}


def read():
    """The root template, and those it nests, by their path."""
    paths = ["template.yaml", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra").glob("*.yaml"))]
    return {path: yaml_parse((ROOT / path).read_text()) for path in paths}


def translate(template):
    """The root template without SAM."""
    template = yaml_parse(json.dumps(template))
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if "CodeUri" in properties:
            properties["CodeUri"] = "s3://bucket/" + properties["CodeUri"]
    return transform(template, {}, Managed())


def pseudo(partition, region):
    return {
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::AccountId": ACCOUNT,
        "AWS::StackName": "the-stack",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::NoValue": NO_VALUE,
    }


# What a resource's attributes look like, so that policies can be compared as text.
ARNS = {
    "AWS::SQS::Queue": "sqs:{region}:{account}:{id}",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{id}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{id}:*",
    "AWS::IAM::Role": "iam::{account}:role{path}{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/{id}",
    "AWS::S3::Bucket": "s3:::{id}",
}


class Stack:
    """A template, evaluated for parameters."""

    def __init__(self, template, parameters, partition="aws", region="eu-central-1", nested=None):
        self.template = template
        self.nested = nested or {}
        defaults = {name: body["Default"] for name, body in template.get("Parameters", {}).items() if "Default" in body}
        self.values = {**defaults, **parameters, **pseudo(partition, region)}
        self.children = {}
        self.partition, self.region = partition, region
        self.decided = {}
        self.resources = {}
        for name, resource in template["Resources"].items():
            if "Condition" in resource and not self.condition(resource["Condition"]):
                continue
            self.resources[name] = resource
        for name, resource in list(self.resources.items()):
            if resource["Type"] == "AWS::CloudFormation::Stack":
                self.child(name)
        self.resources = {name: self.resolve(resource) for name, resource in self.resources.items()}
        outputs = template.get("Outputs", {})
        self.outputs = {name: self.resolve(output["Value"]) for name, output in outputs.items()}

    def child(self, name):
        if name not in self.children:
            properties = self.resources[name]["Properties"]
            template = self.nested[properties["TemplateURL"]]
            parameters = {key: self.resolve(value) for key, value in properties.get("Parameters", {}).items()}
            self.children[name] = Stack(template, parameters, self.partition, self.region)
        return self.children[name]

    def stacks(self):
        return [self, *self.children.values()]

    def of_type(self, kind):
        """Resources of this type, here and in the nested stacks."""
        return {
            name: resource
            for stack in self.stacks()
            for name, resource in stack.resources.items()
            if resource["Type"] == kind
        }

    def condition(self, name):
        if name not in self.decided:
            self.decided[name] = self.test(self.template["Conditions"][name])
        return self.decided[name]

    def test(self, node):
        ((function, value),) = node.items()
        if function == "Condition":
            return self.condition(value)
        if function == "Fn::Equals":
            return str(self.resolve(value[0])) == str(self.resolve(value[1]))
        if function == "Fn::Not":
            return not self.test(value[0])
        return {"Fn::And": all, "Fn::Or": any}[function](self.test(part) for part in value)

    def refused(self):
        """The rules that these parameters break."""
        return [
            name
            for name, rule in self.template.get("Rules", {}).items()
            if self.test(rule["RuleCondition"]) and not all(self.test(entry["Assert"]) for entry in rule["Assertions"])
        ]

    def resolve(self, node):
        if isinstance(node, list):
            return [value for value in map(self.resolve, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((function, value),) = node.items()
            if function == "Ref":
                return self.ref(value)
            if function == "Fn::If":
                return self.resolve(value[1] if self.condition(value[0]) else value[2])
            if function == "Fn::GetAtt":
                return self.attribute(*(value if isinstance(value, list) else value.split(".", 1)))
            if function == "Fn::Sub":
                return re.sub(r"\$\{(!?)([^}]+)\}",
                              lambda match: f"${{{match[2]}}}" if match[1] else str(self.named(match[2])), value)
            if function == "Fn::Split":
                return self.resolve(value[1]).split(value[0])
            if function == "Fn::FindInMap":
                table, first, second = value
                return self.template["Mappings"][table][self.resolve(first)][second]
            if function.startswith("Fn::"):
                raise ValueError(f"the checks do not know {function}")
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def named(self, name):
        return self.attribute(*name.split(".", 1)) if "." in name else self.ref(name)

    def ref(self, name):
        if name in self.values:
            return self.values[name]
        resource = self.resources[name]
        if resource["Type"] == "AWS::IAM::Role":
            return self.resolve(resource["Properties"]["RoleName"])
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            return f"arn:{self.partition}:iam::{ACCOUNT}:policy/{name}"
        return f"https://sqs/{name}" if resource["Type"] == "AWS::SQS::Queue" else name

    def attribute(self, name, attribute):
        if attribute.startswith("Outputs."):
            return self.child(name).outputs[attribute.removeprefix("Outputs.")]
        resource = self.resources[name]
        if attribute == "QueueName":
            return name
        if attribute != "Arn":
            raise ValueError(f"the checks do not know {name}.{attribute}")
        properties = resource.get("Properties", {})
        arn = ARNS[resource["Type"]].format(
            id=name if resource["Type"] != "AWS::S3::Bucket" else self.ref(name),
            region=self.region,
            account=ACCOUNT,
            path=self.resolve(properties.get("Path", "/")),
            name=self.resolve(properties.get("RoleName", "")),
        )
        return f"arn:{self.partition}:{arn}"


class Templates:
    """All templates, as written and translated."""

    def __init__(self, written):
        self.written = written
        self.translated = translate(written["template.yaml"])

    def stack(self, partition="aws", region="eu-central-1", **parameters):
        return Stack(self.translated, {**REQUIRED, **parameters}, partition, region, self.written)

    def alone(self, path, **parameters):
        """A template of infra/ that is deployed by itself."""
        return Stack(self.written[path], parameters)

    def nested(self):
        """The templates that the root deploys, and what it passes to each."""
        found = self.written["template.yaml"]["Resources"].values()
        found = [resource["Properties"] for resource in found if resource["Type"] == "AWS::CloudFormation::Stack"]
        return {properties["TemplateURL"]: properties["Parameters"] for properties in found}
