//! From TOML to the queue and its resolver. The routes are read next door.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::error::Mistake;
use super::read::{host_name, placed};
use super::read_forward::read_forward;
use super::read_route::read_routes;
use super::read_tls_reports::{TlsReportsDraft, read_tls_reports};
use super::sending::{Dns, RouteRule, Sending};
use super::table::{self, Table, Value};
use crate::password::PasswordSource;

/// What could be read about sending, with the places that later checks will want to name.
#[derive(Default)]
pub struct SendingDraft {
    /// All of it, if nothing is missing.
    pub sending: Option<Sending>,
    pub folder: Option<Spanned<PathBuf>>,
    pub source: Vec<Spanned<IpAddr>>,
    pub trusted_certificates: Option<Spanned<PathBuf>>,
    pub passwords: Vec<Spanned<PasswordSource>>,
    pub tls_reports: TlsReportsDraft,
    pub seal_key: Option<Spanned<PathBuf>>,
}

/// Reads the tables about it. `None`: there is none, and nothing is sent.
pub fn read_sending(
    file: &mut Table<'_, '_>,
    base: &Path,
    domains: Option<&[String]>,
    mistakes: &mut Vec<Mistake>,
) -> Option<SendingDraft> {
    let (queue, routes) = (file.optional("queue"), file.optional("route"));
    let (forward, tls_reports) = (file.optional("forward"), file.optional("tls_reports"));
    let mut draft = SendingDraft::default();
    let routes_read = routes.map(|value| read_routes(value, base, domains, &mut draft.passwords, mistakes));
    match queue {
        Some(queue) => {
            let routes = routes_read.unwrap_or_default();
            let forwarding = forward.map(|value| read_forward(value, base, &mut draft.seal_key, mistakes));
            draft.sending = read_queue(queue, base, &mut draft, routes, mistakes);
            let reports = tls_reports.map(|value| read_tls_reports(value, base, domains, mistakes));
            draft.sending = match (draft.sending.take(), forwarding) {
                (Some(sending), Some(forwarding)) => {
                    forwarding.map(|forwarding| Sending { forwarding: Some(forwarding), ..sending })
                }
                (sending, _) => sending,
            };
            if let Some(reports) = reports {
                let read = reports.reports.clone();
                draft.sending = draft
                    .sending
                    .take()
                    .zip(read)
                    .map(|(sending, reports)| Sending { tls_reports: Some(reports), ..sending });
                draft.tls_reports = reports;
            }
            Some(draft)
        }
        None => {
            for (name, value) in [("[[route]]", routes), ("[forward]", forward), ("[tls_reports]", tls_reports)] {
                let message = format!("{name} means nothing without a queue: add a [queue] table with `folder`");
                mistakes.extend(value.map(|value| Mistake::new(value.span(), message)));
            }
            None
        }
    }
}

fn read_queue(
    value: &Value<'_>,
    base: &Path,
    draft: &mut SendingDraft,
    routes: Vec<RouteRule>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Sending> {
    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mut queue = table::table(value, mistakes)?;
    draft.folder = queue.required("folder").and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let mut time = |key, default, range: std::ops::RangeInclusive<Duration>| match queue.optional(key) {
        Some(value) => {
            table::parsed(value, mistakes, |text| within(duration(text)?, text, range)).map(|time| (time, value.span()))
        }
        None => Some((default, value.span())),
    };
    let notice_after = time("notice_after", 4 * HOUR, SECOND..=30 * DAY);
    let expire_after = time("expire_after", 5 * DAY, SECOND..=30 * DAY);
    let bounce_expire_after = time("bounce_expire_after", 5 * DAY, SECOND..=30 * DAY);
    let retry_first = time("retry_first", Duration::from_secs(300), SECOND..=DAY);
    let retry_max = time("retry_max", Duration::from_secs(4000), SECOND..=DAY);
    if let (Some((first, _)), Some((max, span))) = (&retry_first, &retry_max)
        && max < first
    {
        mistakes.push(Mistake::new(span.clone(), "`retry_max`, the longest wait, is shorter than `retry_first`"));
    }
    let mut number = |key, default, most| match queue.optional(key) {
        Some(value) => table::number(value, 1..=most, mistakes),
        None => Some(default),
    };
    let deliveries = number("deliveries", 100, 10_000);
    let per_destination = number("deliveries_per_destination", 20, 10_000);
    let hello = queue.optional("hello").map_or(Some(None), |v| table::parsed(v, mistakes, host_name).map(Some));
    draft.source = queue.optional("source").map(|value| read_source(value, mistakes)).unwrap_or_default();
    let double_bounces = queue.optional("double_bounces").map_or(Some(false), |v| table::boolean(v, mistakes));
    draft.trusted_certificates =
        queue.optional("trusted_certificates").and_then(|v| placed(v, mistakes, |text| Ok(base.join(text))));
    let policies = queue.optional("policies").and_then(|v| table::parsed(v, mistakes, |text| Ok(base.join(text))));
    let private_hosts = queue.optional("private_policy_hosts").map_or(Some(false), |v| table::boolean(v, mistakes));
    queue.finish(mistakes);
    Some(Sending {
        folder: draft.folder.as_ref()?.get_ref().clone(),
        notice_after: notice_after?.0,
        expire_after: expire_after?.0,
        bounce_expire_after: bounce_expire_after?.0,
        retry_first: retry_first?.0,
        retry_max: retry_max?.0,
        deliveries: deliveries? as usize,
        deliveries_per_destination: per_destination? as u32,
        hello: hello?,
        source: draft.source.iter().map(|source| *source.get_ref()).collect(),
        double_bounces: double_bounces?,
        trusted_certificates: draft.trusted_certificates.as_ref().map(|path| path.get_ref().clone()),
        policies,
        private_policy_hosts: private_hosts?,
        forwarding: None,
        tls_reports: None,
        routes,
    })
}

fn read_source(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Vec<Spanned<IpAddr>> {
    let mut source: Vec<Spanned<IpAddr>> = Vec::new();
    for item in table::list(value, mistakes).unwrap_or_default() {
        let address = placed(item, mistakes, |text| {
            text.parse::<IpAddr>()
                .map_err(|_| format!("`{text}` is not an address such as `192.0.2.1` or `2001:db8::1`"))
        });
        let Some(address) = address else { continue };
        if source.iter().any(|other| other.get_ref().is_ipv4() == address.get_ref().is_ipv4()) {
            let message = "connections come from one address of each family: one of IPv4 and one of IPv6";
            mistakes.push(Mistake::new(item.span(), message));
        }
        source.push(address);
    }
    source
}

/// Reads `[dns]`.
pub fn read_dns(value: &Value<'_>, mistakes: &mut Vec<Mistake>) -> Option<Dns> {
    let mut dns = table::table(value, mistakes)?;
    let mut servers = Vec::new();
    if let Some(value) = dns.optional("servers") {
        let items = table::list(value, mistakes).unwrap_or_default();
        servers.extend(items.iter().filter_map(|item| table::parsed(item, mistakes, name_server)));
        if items.is_empty() {
            mistakes.push(Mistake::new(
                value.span(),
                "at least one server is needed; without this key the system's are asked",
            ));
        }
    }
    let validates = dns.optional("validates").map_or(Some(None), |v| table::boolean(v, mistakes).map(Some));
    dns.finish(mistakes);
    Some(Dns { servers, validates: validates? })
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)));
    address.map_err(|_| format!("`{text}` is not the address of a name server, such as `127.0.0.1` or `[::1]:5353`"))
}

/// A time such as `300s`, `5m`, `4h`, `5d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let seconds = match &text[split..] {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    let number = text[..split].parse::<u64>().ok();
    let Some((number, seconds)) = number.zip(seconds) else {
        return Err(format!("`{text}` is not a time such as `300s`, `5m`, `4h` or `5d`"));
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

/// The time, if it is in the range.
pub fn within(time: Duration, text: &str, range: std::ops::RangeInclusive<Duration>) -> Result<Duration, String> {
    let (least, most) = (range.start().as_secs(), range.end().as_secs() / (24 * 3600));
    match range.contains(&time) {
        true => Ok(time),
        false => Err(format!("{text} is not in the range from {least}s to {most}d")),
    }
}
