//! `chainrule serve`: the numbers are those of the commands, whoever else asks; what is wrong is said and nothing dies.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{NADE, Place, text};
use serde_json::{Value, json};

/// A server, which ends with the test.
struct Server {
    child: Child,
    address: String,
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&self.body)))
    }
}

impl Server {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
            .current_dir(place.path(""))
            .args(["serve", "--bind", "127.0.0.1:0", "--json"])
            .args(arguments)
            .env_remove("CHAINRULE_DATA")
            .env_remove("CHAINRULE_TOKEN")
            .env("XDG_CACHE_HOME", place.path("no-cache"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["command"], "serve");
        let address = record["address"].as_str().unwrap();
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request as it is.
    fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The answer may come before all is sent.
        let _ = stream.write_all(request);
        read(&mut stream)
    }

    fn ask(&self, line: &str, head: &str, body: &[u8]) -> Answer {
        let host = &self.address;
        let length = body.len();
        let mut request = format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n"
        )
        .into_bytes();
        request.extend(body);
        self.raw(&request)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", b"")
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        let head = "content-type: application/json\r\n";
        self.ask(&format!("POST /v1/models/{path}"), head, body.to_string().as_bytes())
    }

    /// What a request that is answered is answered.
    fn asked(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{path}: {}", text(&answer.body));
        answer.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = text(&bytes[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
}

/// A pixel network, whose walks take long.
const CNN: &str = r#"
name = "cnn"
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "pixel-cnn"
layers = 3
hidden = 16
[train]
epochs = 1
batch_size = 100
optimizer = { kind = "adam", learning_rate = 5e-3 }
"#;

/// A table of words, whole numbers, decimals and missing cells, whose columns depend on each other.
fn csv(rows: u32, holes: bool) -> String {
    let mut text = String::from("city,n,price,size\n");
    for k in 0..rows {
        let mixed = k.wrapping_mul(2_654_435_761) >> 8;
        let city = ["Bern", "Ulm, Donau", "Jena"][(mixed % 3) as usize];
        let n = mixed % 3 * 10 + mixed / 7 % 5;
        let price = f64::from(n) * 1.5 + f64::from(mixed / 11 % 100) / 100.0;
        let size = if mixed / 13 % 9 == 0 { String::new() } else { format!("{}", mixed / 17 % 4) };
        let is_hole = |i: u32| holes && mixed / 19 % 5 == i;
        let n = if is_hole(1) { String::new() } else { n.to_string() };
        let city = if is_hole(2) { "" } else { city };
        writeln!(text, "\"{city}\",{n},{price:.2},{size}").unwrap();
    }
    text
}

/// A run of the digits, `small`, and one of a table, `table`.
fn runs() -> Place {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "small"]);
    place.file("table.csv", csv(600, false));
    place.json(&["train", "table.csv", "--out", "table"]);
    place
}

/// The rows of a CSV as objects of JSON, all cells texts but the missing ones.
fn objects(csv: &str) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let names = reader.headers().unwrap().clone();
    let cell = |cell: &str| if cell.is_empty() { Value::Null } else { Value::from(cell) };
    let row = |row: csv::StringRecord| {
        Value::Object(names.iter().map(str::to_owned).zip(row.iter().map(cell)).collect())
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// What a command wrote of each row: log p(x), score and the two p-values, to the bit.
fn scores_of(place: &Place, name: &str) -> Vec<[Option<u64>; 4]> {
    let mut reader = csv::Reader::from_path(place.path(name)).unwrap();
    let names = reader.headers().unwrap().clone();
    let columns = ["log_prob_nats", "score", "p_low_likelihood", "p_typicality"]
        .map(|name| names.iter().position(|own| own == name));
    let row = |row: csv::StringRecord| {
        columns.map(|column| Some(row[column?].parse::<f64>().ok()?.to_bits()))
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// The same of an answer.
fn scores_in(answer: &Value, has_score: bool) -> Vec<[Option<u64>; 4]> {
    let row = |row: &Value| {
        ["log_prob_nats", "score", "p_low_likelihood", "p_typicality"].map(|name| {
            // Where rows are ranked by log p(x) the command writes it once.
            let value = (name != "score" || has_score).then(|| row[name].as_f64())??;
            Some(value.to_bits())
        })
    };
    answer["rows"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn scores_are_those_of_the_command_to_the_bit_whoever_else_asks() {
    let place = runs();
    let test = csv(150, true);
    place.file("test.csv", &test);
    place.json(&["score", "table", "--data", "test.csv", "--calibrate", "valid", "--out", "t.csv"]);
    place.json(&["data", "export", "small", "--split", "test", "--out", "digits.csv"]);
    place.json(&[
        "score",
        "small",
        "--data",
        "digits.csv",
        "--calibrate",
        "valid",
        "--out",
        "d.csv",
    ]);
    let server = Server::start(&place, &["small", "table"]);
    let (of_table, of_digits) = (scores_of(&place, "t.csv"), scores_of(&place, "d.csv"));
    assert!(of_table.iter().flatten().all(Option::is_some));

    let text =
        server.ask("POST /v1/models/table/score", "content-type: text/csv\r\n", test.as_bytes());
    assert_eq!(text.status, 200);
    assert_eq!(scores_in(&text.json(), true), of_table);
    let rows = objects(&test);
    assert_eq!(scores_in(&server.asked("table/score", &json!({ "rows": rows })), true), of_table);

    let digits = fs::read_to_string(place.path("digits.csv")).unwrap();
    let digits: Vec<Value> = digits
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|x| Value::from(x.parse::<u8>().unwrap())).collect())
        .collect();
    assert_eq!(
        scores_in(&server.asked("small/score", &json!({ "rows": digits })), false),
        of_digits
    );
    // Many at once, each with a few rows of its own.
    thread::scope(|scope| {
        for client in 0..8 {
            let (server, rows, digits) = (&server, &rows, &digits);
            let (of_table, of_digits) = (&of_table, &of_digits);
            scope.spawn(move || {
                for k in 0..12 {
                    let first = (client * 31 + k * 7) % 140;
                    let part = first..first + 1 + k % 5;
                    let body = json!({ "rows": rows[part.clone()] });
                    let found = scores_in(&server.asked("table/score", &body), true);
                    assert_eq!(found, of_table[part.clone()]);
                    let body = json!({ "rows": digits[part.clone()] });
                    let found = scores_in(&server.asked("small/score", &body), false);
                    assert_eq!(found, of_digits[part]);
                }
            });
        }
    });
}

#[test]
fn draws_are_those_of_the_commands() {
    let place = runs();
    let test = csv(20, true);
    place.file("holes.csv", &test);
    let line = ["complete", "table", "--data", "holes.csv", "--out", "filled.csv"];
    let effort = ["--samples", "3", "--particles", "20", "--seed", "5"];
    place.json(&[&line[..], &effort].concat());
    place.json(&["sample", "table", "--count", "9", "--seed", "4", "--out", "drawn.csv"]);
    place.json(&["sample", "table", "--given", "n=0..9", "--count", "9", "--out", "given.csv"]);
    let server = Server::start(&place, &["table", "small"]);
    // As texts, since a file has nothing else.
    let words = |row: &Value| -> Vec<String> {
        ["city", "n", "price", "size"]
            .map(|name| match &row[name] {
                Value::Null => String::new(),
                Value::String(word) => word.clone(),
                other => other.as_f64().unwrap().to_string(),
            })
            .to_vec()
    };
    let file = |name: &str, skip: usize| -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(place.path(name)).unwrap();
        let rows =
            reader.records().map(|row| row.unwrap().iter().skip(skip).map(str::to_owned).collect());
        rows.collect()
    };
    let body = json!({ "rows": objects(&test), "samples": 3, "particles": 20, "seed": 5 });
    let filled = server.asked("table/complete", &body);
    let rows = filled["rows"].as_array().unwrap().iter();
    let filled: Vec<Vec<String>> =
        rows.flat_map(|row| row["completions"].as_array().unwrap().iter().map(words)).collect();
    assert_eq!(filled, file("filled.csv", 2));
    let drawn = |body: &Value| -> Vec<Vec<String>> {
        server.asked("table/sample", body)["rows"].as_array().unwrap().iter().map(words).collect()
    };
    assert_eq!(drawn(&json!({ "count": 9, "seed": 4 })), file("drawn.csv", 0));
    let given = drawn(&json!({ "count": 9, "given": ["n=0..9"] }));
    assert_eq!(given, file("given.csv", 0));

    // The probabilities of a column's labels, to the bit.
    let classify =
        ["classify", "table", "--target", "city", "--data", "whole.csv", "--out", "p.csv"];
    let whole = csv(40, false);
    place.file("whole.csv", &whole);
    place.json(&classify);
    let body = json!({ "rows": objects(&whole), "target": "city" });
    let answer = server.asked("table/classify", &body);
    let mut reader = csv::Reader::from_path(place.path("p.csv")).unwrap();
    let names = reader.headers().unwrap().clone();
    let classes = answer["classes"].as_array().unwrap();
    let columns: Vec<usize> = classes
        .iter()
        .map(|class| {
            let name = format!("p_{}", class.as_str().unwrap());
            names.iter().position(|own| own == name).unwrap_or_else(|| panic!("{name}: {names:?}"))
        })
        .collect();
    for (row, record) in answer["rows"].as_array().unwrap().iter().zip(reader.records()) {
        let record = record.unwrap();
        for (p, &column) in row["probabilities"].as_array().unwrap().iter().zip(&columns) {
            assert_eq!(
                p.as_f64().unwrap().to_string(),
                record[column].parse::<f64>().unwrap().to_string()
            );
        }
    }

    // An image's known pixels stay, and its lower half is drawn from p(missing | observed).
    let half: Vec<Value> =
        (0..64).map(|i| if i < 32 { json!(i / 8 % 2) } else { Value::Null }).collect();
    let answer =
        server.asked("small/complete", &json!({ "rows": [half], "samples": 2, "means": true }));
    assert_eq!(answer["method"], "exact");
    let completed = &answer["rows"][0]["completions"][1];
    assert!((0..32).all(|i| completed[i] == json!(i / 8 % 2)));
    let means = answer["rows"][0]["means"].as_array().unwrap();
    assert!(means[32..].iter().any(|mean| (0.05..0.95).contains(&mean.as_f64().unwrap())));
}

#[test]
fn what_each_variable_is_expected_to_be_adds_up() {
    let place = runs();
    let server = Server::start(&place, &["table", "small"]);
    let examples = server.get("/v1/models/small/examples?count=1").json();
    let row = &examples["examples"][0]["row"];
    let answer =
        server.asked("small/conditional", &json!({ "row": row, "variables": [0, 27, 63] }));
    let costs: Vec<f64> =
        answer["costs"].as_array().unwrap().iter().map(|cost| cost.as_f64().unwrap()).collect();
    let log_prob = answer["log_prob_nats"].as_f64().unwrap();
    assert!((costs.iter().sum::<f64>() + log_prob).abs() < 1e-3);
    for conditional in answer["conditionals"].as_array().unwrap() {
        let p: Vec<f64> = conditional["probabilities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p.as_f64().unwrap())
            .collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{p:?}");
        let variable = conditional["variable"].as_u64().unwrap() as usize;
        let own = row[variable].as_u64().unwrap() as usize;
        assert!((p[own] - (-costs[variable]).exp()).abs() < 1e-6);
    }
    let sees = server.get("/v1/models/small/sees?variable=9").json();
    assert_eq!(sees["may_see"], json!([0, 1, 2, 3, 4, 5, 6, 7, 8]));

    let row = json!({ "city": "Bern", "n": null, "price": 45.5, "size": null });
    let answer = server.asked("table/conditional", &json!({ "row": row, "particles": 500 }));
    let cells = answer["cells"].as_array().unwrap();
    let filled: Vec<bool> = cells.iter().map(|cell| cell["filled"].as_bool().unwrap()).collect();
    assert_eq!(filled, [true, false, true, false]);
    assert!(cells[0]["nats"].is_number() && cells[1]["nats"].is_null());
    let share = |cell: &Value| -> f64 {
        let labels = cell["distribution"]["labels"].as_array().unwrap().iter();
        labels.map(|own| own["p"].as_f64().unwrap()).sum()
    };
    assert!((share(&cells[0]) - 1.0).abs() < 1e-9);
    let answer = server.asked("table/classify", &json!({ "rows": [row], "target": "city" }));
    let p = answer["rows"][0]["probabilities"].as_array().unwrap();
    assert!((p.iter().map(|p| p.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn what_is_wrong_is_said_and_nothing_dies() {
    let place = runs();
    let server = Server::start(&place, &["table", "small", "--max-rows", "50", "--max-body", "1"]);
    let rows = objects(&csv(3, false));
    // A bad row in its place, the others scored.
    let mut bad = rows.clone();
    bad[1]["price"] = json!("dear");
    let answer = server.asked("table/score", &json!({ "rows": bad, "costliest": 1 }));
    assert!(answer["rows"][0]["log_prob_nats"].is_number());
    let message = answer["rows"][1]["error"]["message"].as_str().unwrap();
    assert!(message.contains("dear") && !message.contains("row"), "{message}");
    assert!(answer["rows"][2]["costliest"][0]["variable"].is_string());
    let all_bad = server.asked("table/score", &json!({ "rows": [{}, 5, [1]] }));
    assert_eq!(all_bad["rows"].as_array().unwrap().len(), 3);
    assert!(all_bad["rows"][2]["error"]["hint"].is_string());
    let more = json!({ "rows": [{ "city": "Bern", "n": 1, "price": 2, "size": 1, "id": 7 }] });
    assert_eq!(server.asked("table/score", &more)["ignored"], json!(["id"]));

    let zeros = vec![json!(0); 64];
    let many: Vec<&Value> = rows.iter().cycle().take(51).collect();
    for (path, body, status, says) in [
        ("tabel/score", json!({ "rows": [] }), 404, "did you mean"),
        ("table/score", json!({ "rows": [], "alphas": 0.1 }), 422, "alphas"),
        ("table/score", json!({ "rows": rows, "alpha": 2.0 }), 422, "alpha"),
        ("table/score", json!({ "rows": many }), 413, "--max-rows"),
        ("table/score", json!([1]), 422, "one JSON object"),
        ("table/sample", json!({ "count": 2_000_000 }), 413, "--max-rows"),
        ("small/conditional", json!({ "row": zeros, "variables": [64] }), 422, "0 to 63"),
        ("table/sample", json!({ "given": ["a--b=3"] }), 422, "a--b"),
        ("small/complete", json!({ "rows": [zeros], "particles": 0 }), 422, "particles"),
        ("small/complete", json!({ "rows": [zeros], "samples": 1_000_000 }), 422, "samples"),
        ("small/complete", json!({ "rows": [vec![json!(2); 64]] }), 422, "from 0 to 1"),
        ("small/conditional", json!({ "row": vec![Value::Null; 64] }), 422, "null"),
        ("small/classify", json!({ "rows": [zeros] }), 422, "classes"),
        ("table/classify", json!({ "rows": rows, "target": "price" }), 422, "price"),
        ("table/sample", json!({ "given": ["ctiy=Bern"] }), 422, "city"),
        ("table/sample", json!({ "given": ["n=500..600", "city=Bern"] }), 422, "no label"),
    ] {
        let answer = server.post(path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", text(&answer.body));
        let error = &answer.json()["error"];
        assert!(error["message"].is_string() && error["hint"].is_string());
        assert!(error.to_string().contains(says), "{path}: {error}");
    }
    for (line, head, body, status) in [
        (
            "POST /v1/models/table/score",
            "content-type: application/json\r\n",
            &b"{\"rows\""[..],
            400,
        ),
        ("POST /v1/models/table/score", "content-type: text/plain\r\n", b"x", 415),
        ("POST /v1/models/table/complete", "content-type: text/csv\r\n", b"x", 415),
        ("POST /v1/models/table/score", "content-type: text/csv\r\n", b"\x1f\x8b\x08\x00", 422),
        ("POST /v1/models/table/score?alpha=x", "content-type: text/csv\r\n", b"x", 422),
        (
            "POST /v1/models/table/score",
            "content-type: application/vnd.apache.arrow.stream\r\n",
            b"x",
            422,
        ),
        (
            "POST /v1/models/table/score",
            "content-type: application/json\r\n",
            &vec![b' '; 2 << 20],
            413,
        ),
        ("GET /v1/models/table/score", "", b"", 405),
        ("GET /v1/models/small/sees?variable=64", "", b"", 422),
        ("GET /v1/models/table/sees?variable=0", "", b"", 422),
        ("GET /v1/models/../../etc/passwd", "", b"", 404),
        ("GET /page/../Cargo.toml", "", b"", 404),
        ("GET /nothing", "", b"", 404),
        ("GET /v1/models/%ff", "", b"", 404),
    ] {
        let answer = server.ask(line, head, body);
        assert_eq!(answer.status, status, "{line} {head}: {}", text(&answer.body));
        assert!(answer.json()["error"]["hint"].is_string(), "{line}");
    }
    assert_eq!(text(&server.get("/healthz").body), "ok\n");
    let metrics = text(&server.get("/metrics").body);
    for series in [
        "chainrule_requests_total{route=\"/v1/models/{name}/score\",status=\"413\"}",
        "chainrule_rows_total ",
    ] {
        assert!(metrics.contains(series), "{metrics}");
    }
}

#[test]
fn only_those_may_ask_who_know_the_token_and_the_name() {
    let place = runs();
    place.file("token", "s3cret-word\n");
    let server =
        Server::start(&place, &["small", "--token-file", "token", "--cors", "https://a.example"]);
    let with = |head: &str| server.ask("GET /v1/models", head, b"");
    let wrong = [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: Bearer s3cret-wor\r\n",
        "authorization: Bearer s3cret-word2\r\n",
        "authorization: Basic s3cret-word\r\n",
        "authorization: s3cret-word\r\n",
    ];
    let answers: Vec<Answer> = wrong.into_iter().map(with).collect();
    for answer in &answers {
        assert_eq!(answer.status, 401, "{}", answer.head);
        // Nothing says what was wrong about it.
        assert_eq!(answer.body, answers[0].body);
        assert!(answer.head.to_lowercase().contains("www-authenticate: bearer"));
    }
    assert_eq!(server.get("/metrics").status, 401);
    let right = with("authorization: Bearer s3cret-word\r\norigin: https://a.example\r\n");
    assert_eq!(right.status, 200);
    assert!(right.head.contains("access-control-allow-origin: https://a.example"));
    let other = with("authorization: Bearer s3cret-word\r\norigin: https://b.example\r\n");
    assert!(!other.head.contains("access-control-allow-origin"));
    // The page asks for the token itself.
    let page = server.get("/");
    assert_eq!(page.status, 200);
    let policy =
        page.head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    // The name of another site that points at this machine.
    let rebound =
        server.raw(b"GET /v1/models HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    assert_eq!(rebound.status, 421);
    assert!(place.mistake(&["serve", "small", "small"]).contains("two runs"));
    assert!(place.mistake(&["serve", "small", "--token-file", "no"]).contains("no"));
    place.file("empty", " \n");
    assert!(
        place.mistake(&["serve", "small", "--token-file", "empty"]).contains("nothing is in it")
    );
    assert!(place.mistake(&["serve", "small", "--bind", &server.address]).contains("--bind"));
    // A token that somebody meant to set.
    let mut unset = place.chainrule(&["serve", "small", "--bind", "127.0.0.1:0"]);
    let output = unset.env("CHAINRULE_TOKEN", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("CHAINRULE_TOKEN"));
}

#[test]
fn slow_clients_and_too_many_requests_stop_nobody_else() {
    let place = runs();
    let server = Server::start(&place, &["small", "--max-waiting", "2", "--timeout", "2"]);
    // They have begun to send a body, a byte at a time.
    let mut slow: Vec<TcpStream> = (0..24).map(|_| server.connect()).collect();
    let host = &server.address;
    for stream in &mut slow {
        let head = format!(
            "POST /v1/models/small/score HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: 100000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
    }
    let start = Instant::now();
    let row = vec![json!(0); 64];
    let body = json!({ "rows": [row] });
    for _ in 0..20 {
        server.asked("small/score", &body);
        slow.iter_mut().for_each(|stream| stream.write_all(b" ").unwrap());
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let mut last = slow.pop().unwrap();
    let answer = read(&mut last);
    assert_eq!(answer.status, 408, "{}", answer.head);
    // More work than may wait; when it is done, all is as before.
    let nothing = vec![Value::Null; 64];
    let work = json!({ "rows": vec![nothing; 15], "particles": 4096, "samples": 4096 });
    let statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..12).map(|_| scope.spawn(|| server.post("small/complete", &work).status)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 408, 429].contains(status)), "{statuses:?}");
    let start = Instant::now();
    while server.post("small/complete", &json!({ "rows": [row] })).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn work_for_one_who_left_is_dropped() {
    let place = runs();
    place.file("cnn.toml", CNN);
    place.json(&["train", "cnn.toml", "--out", "cnn"]);
    let server = Server::start(&place, &["small", "cnn", "--max-particles", "60000"]);
    // Minutes of work, by one walk after the other and by particles.
    let nothing = vec![Value::Null; 64];
    let mut late = nothing.clone();
    late[63] = json!(1);
    for row in [nothing, late] {
        let work = json!({ "rows": [row], "particles": 60000, "samples": 60000 }).to_string();
        let mut stream = server.connect();
        let request = format!(
            "POST /v1/models/cnn/complete HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{work}",
            server.address,
            work.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let start = Instant::now();
        while !text(&server.get("/metrics").body).contains("chainrule_queue 1") {
            assert!(start.elapsed() < Duration::from_secs(20));
        }
        drop(stream);
        while !text(&server.get("/metrics").body).contains("chainrule_queue 0") {
            assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_signal_lets_what_is_asked_be_answered_and_ends() {
    let place = runs();
    let mut server = Server::start(&place, &["small"]);
    let nothing = vec![Value::Null; 64];
    let work = json!({ "rows": vec![nothing; 30], "particles": 2000, "samples": 2000 }).to_string();
    let mut stream = server.connect();
    let request = format!(
        "POST /v1/models/small/complete HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{work}",
        server.address,
        work.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let in_queue = || text(&server.get("/metrics").body).contains("chainrule_queue 1");
    let start = Instant::now();
    while !in_queue() {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let answer = read(&mut stream);
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert!(server.child.wait().unwrap().success());
    assert!(TcpStream::connect(&server.address).is_err());
}

#[test]
fn the_document_describes_every_address() {
    let place = runs();
    let server = Server::start(&place, &["small"]);
    let document = server.get("/v1/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in ["score", "complete", "sample", "conditional", "classify", "examples", "sees"] {
        assert!(
            paths.iter().any(|own| **own == format!("/v1/models/{{name}}/{path}")),
            "{paths:?}"
        );
    }
    // Every reference is there.
    let text = document.to_string();
    for (_, rest) in
        text.match_indices("#/components/schemas/").map(|(at, s)| (at, &text[at + s.len()..]))
    {
        let name = rest.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let files =
        [("/", "text/html"), ("/page/app.js", "text/javascript"), ("/page/style.css", "text/css")];
    for (path, kind) in files {
        let answer = server.get(path);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains(kind), "{path}: {}", answer.head);
    }
}

/// Requests that were once good: bytes are changed, cut, doubled. CHAINRULE_FUZZ says how many.
#[test]
fn mutated_requests_are_answered_and_never_by_a_failure_of_ours() {
    use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

    let count: u64 =
        std::env::var("CHAINRULE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let place = runs();
    let server = Server::start(&place, &["small", "table", "--max-particles", "8"]);
    let image: Vec<Value> =
        (0..64).map(|i| if i % 5 == 0 { Value::Null } else { json!(i % 2) }).collect();
    let rows = objects(&csv(2, true));
    let known: Vec<Value> = (0..64).map(|i| json!(i % 2)).collect();
    let seeds = [
        ("small/score", json!({ "rows": [known], "costliest": 2 }).to_string()),
        (
            "small/complete",
            json!({ "rows": [image], "particles": 4, "samples": 1, "means": true }).to_string(),
        ),
        ("small/conditional", json!({ "row": known, "variables": [3, "x5"] }).to_string()),
        ("small/sample", json!({ "count": 2, "seed": 1 }).to_string()),
        ("table/score", json!({ "rows": rows, "costs": true, "alpha": 0.1 }).to_string()),
        ("table/score", csv(2, true)),
        ("table/complete", json!({ "rows": rows, "particles": 4 }).to_string()),
        ("table/conditional", json!({ "row": rows[0], "particles": 8 }).to_string()),
        ("table/sample", json!({ "given": ["n>=3", "city=Bern|Jena"], "count": 1 }).to_string()),
        ("table/classify", json!({ "rows": rows, "target": "city" }).to_string()),
    ];
    thread::scope(|scope| {
        for client in 0..4_u64 {
            let (server, seeds) = (&server, &seeds);
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(client);
                let mut stream = server.connect();
                for _ in 0..count / 4 {
                    let (path, seed) = &seeds[rng.random_range(0..seeds.len())];
                    let mut body = seed.clone().into_bytes();
                    for _ in 0..rng.random_range(1..6) {
                        let at = rng.random_range(0..body.len().max(1)).min(body.len());
                        match rng.random_range(0..5) {
                            0 if at < body.len() => body[at] = rng.random(),
                            1 if at < body.len() => drop(body.remove(at)),
                            2 => body.insert(at, b"0123456789eE.-+,:[]{}\" nullx"[rng.random_range(0..28)]),
                            3 => body.truncate(at.max(1)),
                            _ => {
                                let part = body[at..(at + 9).min(body.len())].to_vec();
                                body.splice(at..at, part);
                            }
                        }
                    }
                    let kind = if seed.starts_with('{') { "application/json" } else { "text/csv" };
                    let mut request = format!(
                        "POST /v1/models/{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                        server.address,
                        body.len()
                    )
                    .into_bytes();
                    request.extend(&body);
                    stream.write_all(&request).unwrap();
                    let status = status_of_next(&mut stream);
                    assert!(
                        [200, 400, 413, 422, 429].contains(&status),
                        "{status}: {path} {}",
                        String::from_utf8_lossy(&body)
                    );
                }
            });
        }
    });
    assert_eq!(server.get("/healthz").status, 200);
}

/// The status of the next answer of a connection that stays open; the answer is read to its end.
fn status_of_next(stream: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    let mut part = [0; 1 << 14];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "the connection was closed: {}", text(&bytes));
        bytes.extend(&part[..read]);
    };
    let head = text(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < end + 4 + length {
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "an answer ends early");
        bytes.extend(&part[..read]);
    }
    head.split(' ').nth(1).unwrap().parse().unwrap()
}
