-- 6. Gaps: times between reads that no read covers, by person
-- Every window of a closed run counts, whatever the class: a user who failed may have some. What lies before a person's first
-- window and after the last is in the two last columns.
with read as (
  select user_id, unnest(window_list, recursive := true)
  from run_user join run using (run_id)
  where ledger_n is not null
), running as (
  select user_id, "from", "to",
    max("to") over (partition by user_id order by "from", "to" rows between unbounded preceding and 1 preceding) as read_to,
    min("from") over (partition by user_id) as first_read, max("to") over (partition by user_id) as last_read
  from read
)
select upn, r.user_id, read_to as gap_from, "from" as gap_to, first_read, last_read
from running r left join person using (user_id)
where "from" > read_to
order by user_id, gap_from;
