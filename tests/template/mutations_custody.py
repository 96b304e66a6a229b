"""What somebody might break of who reads, who deletes, who holds, and how long evidence stays."""

from mutations import mutation, policy, resource, statement


@mutation("requests_of_the_functions")
def clear_text_to_the_queue(t):
    resource(t, "WorkQueuePolicy")["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["Bool"]["aws:SecureTransport"] = "true"


@mutation("requests_of_the_functions")
def key_used_in_any_way(t):
    del resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][1]["Condition"]


@mutation("requests_of_the_functions")
def token_that_lasts(t):
    del resource(t, "ProveIdentity")["Properties"]["PolicyDocument"]["Statement"][0]["Condition"]["NumericLessThanEquals"]


@mutation("requests_of_the_functions")
def worker_lifts_holds(t):
    del statement(t, "WorkerRole", "HoldContent")["Condition"]


@mutation("requests_of_people")
def glass_breaker_forgets_holds(t):
    entries, index = policy(t, "ArchiveBucketPolicy", "KeepHolds")
    del entries[index]


@mutation("requests_of_people")
def custodian_reads(t):
    resource(t, "Custodian")["Properties"]["PolicyDocument"]["Statement"][3]["Action"].append("s3:GetObject")


@mutation("requests_of_people")
def evidence_with_content(t):
    resource(t, "EvidenceReader")["Properties"]["PolicyDocument"]["Statement"][1]["Resource"][1] = {
        "Fn::Sub": "arn:${AWS::Partition}:s3:::${ArchiveBucketName}/${ArchivePrefix}*"
    }


@mutation("requests_of_people")
def evidence_with_names(t):
    statements = resource(t, "EvidenceReader")["Properties"]["PolicyDocument"]["Statement"]
    statements[1]["Resource"][-1] = statements[1]["Resource"][-1]["Fn::If"][1]


@mutation("requests_of_people")
def content_reader_writes(t):
    resource(t, "ContentReader")["Properties"]["PolicyDocument"]["Statement"][1]["Action"] = ["s3:GetObject", "s3:PutObject"]


@mutation("requests_of_people")
def administrator_deletes_the_key(t):
    del resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][-1]


@mutation("requests_of_people")
def glass_breaker_reads(t):
    statement(t, "BreakGlassRole", "DeleteEvidence")["Action"].append("s3:GetObject")


@mutation("requests_of_people")
def glass_breaker_buries_nobody(t):
    entries, index = policy(t, "BreakGlassRole", "Bury")
    del entries[index]


@mutation("key_administrator")
def everybody_administers_the_key(t):
    del resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][0]["Condition"]


@mutation("key_administrator")
def administrator_deletes_the_key_as_well(t):
    entry = resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][-1]
    entry["Condition"] = {"ArnNotEquals": {"aws:PrincipalArn": {"Ref": "KeyAdministratorArn"}}}


@mutation("break_glass")
def another_name_in_the_policy(t):
    value = resource(t, "Archive")["Properties"]["Parameters"]["BreakGlassRoleArn"]["Fn::If"]
    value[1]["Fn::Sub"] = value[1]["Fn::Sub"].replace("${RolePath}", "/")


@mutation("another_account")
def another_account_holds_nothing(t):
    entries, index = policy(t, "ArchiveBucketPolicy", "ForeignHolds")
    del entries[index]


@mutation("another_account")
def another_account_lifts_holds(t):
    del statement(t, "ArchiveBucketPolicy", "ForeignHolds")["Condition"]["StringEquals"]


@mutation("another_account")
def another_account_holds_anything(t):
    statement(t, "ArchiveBucketPolicy", "ForeignHolds")["Resource"] = {"Fn::Sub": "${ArchiveBucket.Arn}/${ArchivePrefix}*"}


@mutation("another_account")
def any_role_of_that_account_holds(t):
    del statement(t, "ArchiveBucketPolicy", "ForeignHolds")["Condition"]["ArnEquals"]


@mutation("another_account")
def any_role_of_that_account(t):
    del statement(t, "ArchiveBucketPolicy", "ForeignWriters")["Condition"]


@mutation("another_account")
def its_key_for_any_role(t):
    del resource(t, "Key")["Properties"]["KeyPolicy"]["Statement"][2]["Fn::If"][1]["Condition"]["ArnEquals"]


@mutation("retention")
def ledger_expires(t):
    resource(t, "ArchiveBucket")["Properties"]["LifecycleConfiguration"]["Fn::If"][1]["Rules"][2]["Prefix"] = {"Ref": "ArchivePrefix"}


@mutation("retention")
def versions_stay_behind(t):
    del resource(t, "ArchiveBucket")["Properties"]["LifecycleConfiguration"]["Fn::If"][1]["Rules"][0]["NoncurrentVersionExpiration"]


@mutation("trail")
def every_write_on_the_trail(t):
    selector = resource(t, "ReadTrail")["Properties"]["AdvancedEventSelectors"][0]
    selector["FieldSelectors"] = [entry for entry in selector["FieldSelectors"] if entry["Field"] != "readOnly"]


@mutation("trail")
def holds_lifted_unseen(t):
    resource(t, "ReadTrail")["Properties"]["AdvancedEventSelectors"][1]["FieldSelectors"][2]["Equals"].remove("PutObjectLegalHold")
