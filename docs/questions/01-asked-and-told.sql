-- 1. Everything a person asked and was told, in a span of time
set variable custodian = (select user_id from person where upn = 'adele@contoso.example');
select prompted_at, answered_at, app, prompt, answer, paired_by
from turn
where user_id = getvariable('custodian')
  and coalesce(prompted_at, answered_at) >= '2026-01-01' and coalesce(prompted_at, answered_at) < '2027-01-01'
order by coalesce(prompted_at, answered_at), turn_id;
