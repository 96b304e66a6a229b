-- 6. Gaps: times between reads that no read covers, by person
-- over run_user
select user_id, read_to as gap_from, window_from as gap_to
from (
  select user_id, window_from,
    max(window_to) over (partition by user_id order by window_from, window_to rows between unbounded preceding and 1 preceding) as read_to
  from (
    select user_id, from_iso8601_timestamp(json_extract_scalar(w, '$.from')) as window_from,
      from_iso8601_timestamp(json_extract_scalar(w, '$.to')) as window_to
    from run_user cross join unnest(windows) as t(w)
  )
)
where window_from > read_to
order by 1, 2;
