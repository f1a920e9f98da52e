//! `xdsight trace`

mod curl;
mod exchange;
mod identity;
mod url;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};

use rayon::prelude::*;

use super::error::CliError;
use super::format::Format;
use super::ui::Ui;
use super::{Verdict, input};
use crate::render;
use crate::render::TraceAnswer;
use crate::trace::{Assumptions, ClientTls, Direction, Protocol, Request, Trace, Tracer};
use url::Target;

/// Follow a request through a proxy's configuration: where does it go, and why?
///
/// The answer has a line for each decision: what was chosen, why, what came next closest, the Istio object behind it and
/// where it stands in the dump. The last lines say how the request ends, with the response flags that the access log
/// would show. Where more than one end is possible, all are listed; what the dump can't tell is named.
///
/// Where a request goes is derived from the URL's host, unless --to says which address the client dials.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TraceArgs {
    /// Dump of the proxy: a file, - or a folder of admin answers
    input: String,

    /// Where the client sends the request: http, https, grpc, tcp or tls
    #[arg(required_unless_present_any = ["curl", "requests"], conflicts_with_all = ["curl", "requests"])]
    url: Option<String>,

    /// A curl command line instead of a URL
    #[arg(long, value_name = "LINE", conflicts_with = "requests")]
    curl: Option<String>,

    /// Requests from a file with a JSON object on each line, - for standard input
    #[arg(long, value_name = "FILE")]
    requests: Option<String>,

    /// Request method
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<String>,

    /// Request header, as NAME: VALUE
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = curl::header)]
    headers: Vec<(String, String)>,

    /// The request arrives at this proxy's workload, instead of leaving it
    #[arg(long)]
    inbound: bool,

    /// Address the client dials
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    to: Option<SocketAddr>,

    /// Address the client dials from, with or without a port
    #[arg(long, value_name = "ADDR", value_parser = source)]
    from: Option<(IpAddr, Option<u16>)>,

    /// The client speaks TLS
    #[arg(long)]
    tls: bool,

    /// Server name in the client's TLS handshake
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,

    /// Application protocols in the client's TLS handshake, first choice first
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',')]
    alpn: Vec<String>,

    /// The client's TLS certificate is of this principal, such as cluster.local/ns/shop/sa/cart
    #[arg(long, value_name = "PRINCIPAL")]
    mtls: Option<String>,

    /// The client speaks HTTP/2
    #[arg(long)]
    http2: bool,

    /// Take something for granted that the dump can't tell, such as lua=continue, ext_authz=deny, runtime.KEY=50 or
    /// upstream=503; the answer lists what can be assumed
    #[arg(long, value_name = "KEY=ANSWER")]
    assume: Vec<String>,

    /// Form of the answer
    #[arg(short, long, value_name = "FORMAT", default_value = "short",
        value_parser = Format::among(&[Format::Short, Format::Json, Format::Yaml, Format::Jsonl]))]
    output: Format,
}

const EXAMPLES: &str = "\
Examples:
  xdsight trace config_dump.json http://reviews:9080/reviews/1
  xdsight trace config_dump.json https://shop.example.com/cart -X POST -H 'end-user: jason'
  xdsight trace config_dump.json http://reviews:9080/ --inbound --mtls cluster.local/ns/shop/sa/frontend
  xdsight trace config_dump.json --curl \"curl -d q=1 http://catalog:9080/search\"
  xdsight trace config_dump.json --requests requests.jsonl -o jsonl

Exit codes: 0 every possible end delivers the request, 1 one doesn't, 2 bad usage or unreadable input";

pub(super) fn run(ui: &mut Ui, args: &TraceArgs) -> Result<Verdict, CliError> {
    if let Some(file) = &args.requests {
        if args.input == "-" && file == "-" {
            return Err(CliError::usage("INPUT and --requests can't both be standard input"));
        }
        return batch(ui, args, file);
    }
    let request = args.request()?;
    let proxy = input::load(&args.input)?;
    input::warn(ui, &proxy);
    let tracer = Tracer::new(&proxy).assuming(args.assumptions()?);
    let answer = TraceAnswer::new(&request, &tracer.trace(&request));
    // Its caches end with the process, as the proxy does.
    std::mem::forget(tracer);
    ui.answer(&written(args.output, &answer)?)?;
    warn_unused(ui, args, &answer.assumed.iter().cloned().collect());
    Ok(if answer.is_delivered() { Verdict::Clean } else { Verdict::Found })
}

fn written(format: Format, answer: &TraceAnswer) -> Result<String, CliError> {
    Ok(match format {
        Format::Json => format!("{}\n", render::pretty(answer, 2)?),
        Format::Yaml => render::yaml(answer)?,
        Format::Jsonl => format!("{}\n", render::compact(answer)?),
        _ => render::trace(answer),
    })
}

/// Most requests that are traced at once.
const CHUNK: usize = 1024;

/// Traces requests in the order of the file: what an earlier one used up (tokens of a rate limit), a later one lacks.
fn batch(ui: &mut Ui, args: &TraceArgs, file: &str) -> Result<Verdict, CliError> {
    let mut requests = open(file)?;
    let proxy = input::load(&args.input)?;
    input::warn_but_of(ui, &proxy, Some(file));
    let tracer = Tracer::new(&proxy).assuming(args.assumptions()?);
    let mut assumed = BTreeSet::new();
    let mut verdict = Verdict::Clean;
    let mut before = 0;
    loop {
        let (lines, error) = read_lines(&mut requests);
        let answers = answers(&tracer, args.output, file, before, &lines);
        for (nth, answer) in answers.into_iter().enumerate() {
            let Some(answer) = answer else { continue };
            answer.warnings.iter().for_each(|warning| ui.warn(warning));
            verdict = match (verdict, answer.verdict) {
                (Verdict::Unreadable, _) | (_, Verdict::Unreadable) => Verdict::Unreadable,
                (Verdict::Clean, verdict) | (verdict, _) => verdict,
            };
            if args.output != Format::Jsonl && before + nth > 0 {
                ui.answer(if args.output == Format::Yaml { "---\n" } else { "\n" })?;
            }
            ui.answer(&answer.text?)?;
            assumed.extend(answer.assumed);
        }
        before += lines.len();
        if let Some(error) = error {
            return Err(CliError::input(format!("{file}:{}: can't be read", before + 1)).caused_by(error));
        }
        if lines.is_empty() {
            warn_unused(ui, args, &assumed);
            return Ok(verdict);
        }
    }
}

/// An assumption that nothing on the way asked for may be a slip.
fn warn_unused(ui: &mut Ui, args: &TraceArgs, assumed: &BTreeSet<String>) {
    // What runtime values are asked for isn't kept.
    let is_used = |given: &str| given.starts_with("runtime.") || assumed.iter().any(|used| used == given);
    for given in args.assume.iter().filter(|given| !is_used(given)) {
        ui.warn(&format!("--assume {given} changes nothing: nothing on the way asks for it"));
    }
}

/// The answer to one line of the file.
struct Answered {
    text: Result<String, CliError>,
    warnings: Vec<String>,
    verdict: Verdict,
    assumed: Vec<String>,
}

/// Reads the next lines, and what ends them if it isn't the end: as many as have arrived, so that who asks line by line
/// is answered line by line.
fn read_lines(requests: &mut BufReader<Box<dyn Read + Send>>) -> (Vec<String>, Option<io::Error>) {
    let mut lines = Vec::new();
    while lines.is_empty() || (lines.len() < CHUNK && requests.buffer().contains(&b'\n')) {
        let mut line = String::new();
        match requests.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => lines.push(line),
            Err(error) => return (lines, Some(error)),
        }
    }
    (lines, None)
}

/// Answers some lines of a file, of which `before` came before them; none to an empty one.
fn answers(tracer: &Tracer<'_>, format: Format, file: &str, before: usize, lines: &[String]) -> Vec<Option<Answered>> {
    let parse = |(nth, line): (usize, &String)| {
        (!line.trim().is_empty()).then(|| {
            exchange::parse(line.trim_end_matches(['\n', '\r'])).map(|(mut request, unknown)| {
                if request.id.is_empty() {
                    request.id = format!("line {}", before + nth + 1);
                }
                (request, unknown)
            })
        })
    };
    let parsed: Vec<_> = lines.par_iter().enumerate().map(parse).collect();
    let requests: Vec<Request> =
        parsed.iter().flatten().filter_map(|parsed| Some(parsed.as_ref().ok()?.0.clone())).collect();
    let mut traces = tracer.trace_all(&requests).into_iter();
    let traces: Vec<Option<Trace>> =
        parsed.iter().map(|parsed| if matches!(parsed, Some(Ok(_))) { traces.next() } else { None }).collect();
    let each = parsed.into_par_iter().zip(traces).enumerate();
    let answers = each.map(|(nth, (parsed, trace))| {
        let place = format!("{file}:{}", before + nth + 1);
        let mut warnings = Vec::new();
        let mut verdict = Verdict::Clean;
        let answer = match parsed? {
            Ok((request, unknown)) => {
                if !unknown.is_empty() {
                    warnings.push(format!("{place}: not known and not used: {}", unknown.join(", ")));
                }
                let trace = trace?;
                if format == Format::Jsonl { TraceAnswer::exchange(&trace) } else { TraceAnswer::new(&request, &trace) }
            }
            Err(malformed) => {
                warnings.push(format!("{place}: no request: {}", malformed.reason));
                verdict = Verdict::Unreadable;
                let id = malformed.id.unwrap_or_else(|| format!("line {}", before + nth + 1));
                TraceAnswer::error(id, format!("{place}: {}", malformed.reason))
            }
        };
        if verdict == Verdict::Clean && !answer.is_delivered() {
            verdict = Verdict::Found;
        }
        Some(Answered { text: written(format, &answer), warnings, verdict, assumed: answer.assumed })
    });
    answers.collect()
}

fn open(file: &str) -> Result<BufReader<Box<dyn Read + Send>>, CliError> {
    if file == "-" {
        #[expect(clippy::disallowed_methods, reason = "requests may come from standard input")]
        let stdin = io::stdin();
        return Ok(BufReader::new(Box::new(stdin)));
    }
    #[expect(clippy::disallowed_methods, reason = "requests come from a file of the user's")]
    let opened = File::open(file);
    let opened = opened.map_err(|error| CliError::input(format!("{file}: can't be read")).caused_by(error))?;
    Ok(BufReader::with_capacity(1 << 18, Box::new(opened)))
}

impl TraceArgs {
    /// What is to be taken for granted.
    fn assumptions(&self) -> Result<Assumptions, CliError> {
        let mut assumptions = Assumptions::default();
        for text in &self.assume {
            assumptions.add(text).map_err(|error| CliError::usage(format!("--assume: {error}")))?;
        }
        Ok(assumptions)
    }

    /// The one request of the arguments.
    fn request(&self) -> Result<Request, CliError> {
        let mut request = Request { source: exchange::SOURCE, ..Request::get("/") };
        let mut url = self.url.clone().unwrap_or_default();
        if let Some(line) = &self.curl {
            let curl = curl::parse(line)
                .map_err(|reason| CliError::usage(format!("the curl line can't be followed: {reason}")))?;
            url = curl.url;
            request.headers = curl.headers;
            request.method = curl.method.unwrap_or(request.method);
            request.connect = curl.to;
            if curl.http10 {
                request.protocol = Protocol::Http10;
            }
            if curl.http2 {
                request.protocol = Protocol::Http2;
            }
            if curl.certificate && self.mtls.is_none() {
                return Err(CliError::usage("the curl line presents a certificate, but doesn't say whose")
                    .hint("add --mtls PRINCIPAL"));
            }
            if let Some(from) = curl.from.as_ref().and_then(|from| from.parse().ok()) {
                request.source = from;
            }
        }
        let target = url::parse(&url).map_err(|reason| CliError::usage(format!("{url:?} is no URL: {reason}")))?;
        let (connect, by_curl) = (request.connect, request.protocol);
        let is_http2 = by_curl == Protocol::Http2;
        apply(&mut request, &target);
        request.connect = self.to.or(connect).or(request.connect);
        if (self.http2 || is_http2) && request.protocol == Protocol::Http1 {
            request.protocol = Protocol::Http2;
        }
        if by_curl == Protocol::Http10 && request.protocol == Protocol::Http1 {
            request.protocol = Protocol::Http10;
        }
        if let Some(method) = &self.method {
            request.method.clone_from(method);
        }
        request.headers.extend(self.headers.iter().cloned());
        take_host(&mut request);
        if let Some((source, port)) = self.from {
            request.source = source;
            request.source_port = port;
        }
        if self.tls || self.sni.is_some() || !self.alpn.is_empty() || self.mtls.is_some() {
            request.tls.get_or_insert_with(ClientTls::default);
        }
        if let Some(tls) = &mut request.tls {
            if let Some(sni) = &self.sni {
                tls.sni = Some(sni.clone());
            }
            tls.certificate = self.mtls.as_deref().map(identity::certificate);
            tls.alpn = if self.alpn.is_empty() {
                default_alpn(request.protocol, tls.certificate.is_some())
            } else {
                self.alpn.clone()
            };
        }
        request.direction = if self.inbound { Direction::Inbound } else { Direction::Unspecified };
        Ok(request)
    }
}

/// Fills in what a URL says.
fn apply(request: &mut Request, target: &Target) {
    request.protocol = target.protocol;
    request.authority = Some(target.authority.clone());
    request.path.clone_from(&target.path);
    request.connect = target.address();
    request.port = Some(target.port);
    if target.tls {
        // A server name is a name: clients send none for an address.
        let sni = target.address().is_none().then(|| target.host.clone());
        request.tls = Some(ClientTls { sni, ..ClientTls::default() });
    }
}

/// A `Host` header replaces the authority, as in curl.
fn take_host(request: &mut Request) {
    let mut host = None;
    request.headers.retain(|(name, value)| {
        let is_host = name.eq_ignore_ascii_case("host") || name == ":authority";
        if is_host {
            host = Some(value.clone());
        }
        !is_host
    });
    if let Some(host) = host {
        request.authority = Some(host);
    }
}

/// What clients offer: with a mesh certificate what Istio's proxies offer, else the protocol that is spoken.
fn default_alpn(protocol: Protocol, is_mesh: bool) -> Vec<String> {
    let offered: &[&str] = match (protocol, is_mesh) {
        (Protocol::Http10 | Protocol::Http1, true) => &["istio-http/1.1", "istio", "http/1.1"],
        (Protocol::Http2, true) => &["istio-h2", "istio", "h2"],
        (Protocol::Tcp, true) => &["istio-peer-exchange", "istio"],
        (Protocol::Http10 | Protocol::Http1, false) => &["http/1.1"],
        (Protocol::Http2, false) => &["h2"],
        (Protocol::Tcp, false) => &[],
    };
    offered.iter().map(|protocol| (*protocol).to_owned()).collect()
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not of the form ADDR:PORT, such as 10.0.0.1:80 or [::1]:80".to_owned())
}

fn source(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(ip) = text.parse() {
        return Ok((ip, None));
    }
    let address = text.parse::<SocketAddr>().map_err(|_| "not an IP address".to_owned())?;
    Ok((address.ip(), Some(address.port())))
}

#[cfg(test)]
mod tests;
