//! The dialogue of RFC 7677, and servers that do not keep to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::{Asked, Client, ITERATIONS_MAX, Keys, Source, Verifier, Watch};

/// RFC 7677, section 3, whose user stands in its first message; ours leaves it out.
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FIRST: &[u8] = b"SCRAM-SHA-256\0\0\0\0\x20n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn keys() -> Keys {
    Keys::of("pencil", &STANDARD.decode(SALT).expect("base 64"), 4096)
}

fn verifier() -> Verifier {
    let keys = keys();
    let text = format!(
        "SCRAM-SHA-256$4096:{SALT}${}:{}",
        STANDARD.encode(Sha256::digest(*keys.client_key)),
        STANDARD.encode(*keys.server_key)
    );
    Verifier::parse(&text).expect("a verifier")
}

fn watched() -> Watch {
    let mut watch = Watch::default();
    watch.client_says(CLIENT_FIRST);
    watch.server_says(SERVER_FIRST.as_bytes());
    watch.client_says(CLIENT_FINAL.as_bytes());
    watch
}

#[test]
fn a_key_is_learned_from_the_dialogue_of_the_rfc() {
    let exchange = watched().into_exchange().expect("a dialogue");
    let learned = Keys::learn(&verifier(), &exchange).expect("they belong together");
    assert!(learned == keys());
    let mut other = verifier();
    other.stored_key[0] ^= 1;
    assert!(Keys::learn(&other, &exchange).is_none());
}

#[test]
fn a_password_is_no_dialogue() {
    let mut watch = Watch::default();
    for said in [
        &b"secret\0"[..],
        b"SCRAM-SHA-256-PLUS\0\0\0\0\x05p=tls",
        CLIENT_FINAL.as_bytes(),
    ] {
        watch.client_says(said);
    }
    watch.server_says(&[0; 2000]);
    watch.client_says(CLIENT_FIRST);
    watch.client_says(CLIENT_FINAL.as_bytes());
    assert!(watch.into_exchange().is_none());
}

/// Logs in with `source` where the server keeps what belongs to the password of the RFC; what is said is the server's part, made
/// from its verifier alone.
fn log_in(learned: Option<&Keys>, source: &Source<'_>) -> Result<Client, String> {
    let mut client = Client::new(&[7; 18]);
    let server_first = format!("r={}more,s={SALT},i=4096", client.nonce);
    let last = client.last(server_first.as_bytes(), learned, source)?;
    let mut watch = Watch::default();
    let first = client.first();
    watch.client_says(&[&b"SCRAM-SHA-256\0\0\0\0\0"[..], first.as_bytes()].concat());
    watch.server_says(server_first.as_bytes());
    watch.client_says(last.as_bytes());
    let exchange = watch.into_exchange().expect("a dialogue");
    assert!(
        Keys::learn(&verifier(), &exchange).is_some(),
        "the server would take it"
    );
    let signature = super::hmac(&verifier().server_key, &exchange.auth_message());
    assert!(client.is_proven(format!("v={}", STANDARD.encode(*signature)).as_bytes()));
    assert!(!client.is_proven(b"v=AAAA") && !client.is_proven(b"e=no"));
    Ok(client)
}

#[test]
fn a_login_is_taken() {
    let client = log_in(None, &Source::Password("pencil")).expect("a password");
    let learned = client.into_keys().expect("keys");
    log_in(Some(&learned), &Source::Nothing).expect("keys of an earlier login");
    let exchange = watched().into_exchange();
    log_in(None, &Source::Verifier(&verifier(), exchange.as_ref())).expect("a verifier");
}

#[test]
fn what_is_missing_is_told() {
    let told = |source: &Source<'_>| log_in(None, source).err().unwrap_or_default();
    assert!(told(&Source::Nothing).contains("--login has none"));
    assert!(told(&Source::Verifier(&verifier(), None)).contains("was not seen"));
    let mut other = verifier();
    other.iterations = 5000;
    assert!(told(&Source::Verifier(&other, None)).contains("another verifier"));
}

#[test]
fn a_hostile_server_is_refused() {
    for first in [
        "",
        "r=own,s=AAAA,i=1",
        "r=ownx,s=,i=1",
        "r=ownx,s=AAAA,i=0",
        "r=ownx,s=AAAA",
        "r=other,s=AAAA,i=1",
        "s=AAAA,r=ownx,i=1",
    ] {
        assert!(Asked::parse(first.as_bytes(), "own").is_none(), "{first}");
    }
    let first = format!("r=ownx,s=AAAA,i={}", ITERATIONS_MAX + 1);
    let asked = Asked::parse(first.as_bytes(), "own").expect("readable");
    assert!(asked.keys(&Source::Password("a")).is_err());
}

#[test]
fn a_verifier_is_as_in_pg_authid() {
    for text in [
        "SCRAM-SHA-256$",
        "SCRAM-SHA-256$4096:$a:b",
        "md5abc",
        "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
    ] {
        assert!(Verifier::parse(text).is_none(), "{text}");
    }
}
