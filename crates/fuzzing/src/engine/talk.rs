//! What both sides say where a protocol module reads the flows: the beginning of a connection, and then the same few messages over and over.
//! The byte at a place of a connection is always the same, however it is cut, and how far each side has come is the fuzzer's.

use std::sync::Arc;

use protocol::{Choice, Filter, Module, Protocol};

/// One side's words.
#[derive(Debug)]
pub(super) struct Words {
    /// What stands at the beginning of a connection.
    first: &'static [u8],
    /// What follows, again and again.
    again: &'static [u8],
}

impl Words {
    /// Fills `into` with what stands at `at` of a connection.
    fn fill(&self, at: u32, into: &mut [u8]) {
        let places = (at as usize..).zip(into);
        for (at, slot) in places {
            let behind = at.checked_sub(self.first.len());
            *slot = match behind {
                Some(behind) => self.again[behind % self.again.len()],
                None => self.first[at],
            };
        }
    }
}

/// What is said in one protocol.
#[derive(Debug)]
pub(super) struct Talk {
    protocol: Protocol,
    client: Words,
    server: Words,
}

static HTTP1: Talk = Talk {
    protocol: Protocol::Http1,
    client: Words {
        first: b"",
        again: b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n\
            POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
            HEAD /c HTTP/1.1\r\nHost: a\r\n\r\n\
            PUT /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
            POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    },
    server: Words {
        first: b"",
        again: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
            HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    },
};
static REDIS: Talk = Talk {
    protocol: Protocol::Redis,
    client: Words {
        first: b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n",
        again: b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n\
            *2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n*1\r\n$11\r\nUNSUBSCRIBE\r\nINCR a\r\n",
    },
    server: Words {
        first: b"+OK\r\n",
        again: b"+PONG\r\n-ERR no\r\n$3\r\nabc\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n\
            *3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n:7\r\n",
    },
};
static POSTGRES: Talk = Talk {
    protocol: Protocol::Postgres,
    client: Words {
        first: b"\0\0\0\x12\0\x03\0\0user\0ann\0\0",
        again: b"Q\0\0\0\x0dSELECT 1\0Q\0\0\0\x13COPY a FROM b\0\0d\0\0\0\x07abcc\0\0\0\x04S\0\0\0\x04",
    },
    server: Words {
        first: b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x07keyyZ\0\0\0\x05I",
        again: b"C\0\0\0\x05\0Z\0\0\0\x05IG\0\0\0\x07\0\0\0C\0\0\0\x05\0Z\0\0\0\x05IE\0\0\0\x0aC0100\0Z\0\0\0\x05I",
    },
};
static MYSQL: Talk = Talk {
    protocol: Protocol::Mysql,
    client: Words {
        first: b"\x3b\0\0\x01\x01\x82\x08\x01\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            ann\0\0caching_sha2_password\0",
        again: b"\x09\0\0\0\x03SELECT 1\x01\0\0\0\x0e\x09\0\0\0\x16SELECT ?\
            \x0a\0\0\0\x17\x01\0\0\0\0\x01\0\0\0\x05\0\0\x02a\n\0b\n\0\0\0\x03",
    },
    server: Words {
        first: b"\x4a\0\0\0\x0a8.0.36\0\x07\0\0\x0012345678\0\x01\x82\x2d\x02\0\x08\x01\x15\0\0\0\0\0\0\0\0\0\0\
            abcdefghijkl\0caching_sha2_password\0\x07\0\0\x02\0\0\0\x02\0\0\0",
        again: b"\x07\0\0\x01\0\0\0\x02\0\0\0\x0c\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\x02\0\0\x01\xfba",
    },
};

/// The byte chooses nothing below this: most inputs have no module.
const MODULES_FROM: u8 = 24;

impl Talk {
    /// What is said, and the module that reads it, for a number below 32; most have none.
    pub(super) fn choose(number: u8) -> Option<(&'static Self, Arc<Module>)> {
        let (talk, auto, read_only) = match number.checked_sub(MODULES_FROM)? {
            0 => (&HTTP1, true, false),
            1 => (&HTTP1, false, true),
            2 | 3 => (&HTTP1, false, false),
            4 => (&REDIS, true, false),
            5 => (&REDIS, false, true),
            6 => (&POSTGRES, false, false),
            _ => (&MYSQL, false, false),
        };
        let choice = if auto {
            Choice::Auto
        } else {
            Choice::Is(talk.protocol)
        };
        // One has a filter that some of what is said is like.
        let except: Option<Filter> = (number == MODULES_FROM + 3)
            .then(|| "path=/a,/d".parse().ok())
            .flatten();
        let module = Module {
            choice,
            read_only,
            except: except.into_iter().collect(),
            ..Module::default()
        };
        Some((talk, Arc::new(module)))
    }

    /// What a client says at `at` of its connection.
    pub(super) fn ask(&self, at: u32, into: &mut [u8]) {
        self.client.fill(at, into);
    }

    /// What either server says.
    pub(super) fn answer(&self, at: u32, into: &mut [u8]) {
        self.server.fill(at, into);
    }
}

#[cfg(test)]
mod tests {
    use super::Talk;

    #[test]
    fn a_quarter_of_all_inputs_has_a_module_that_fits() {
        let chosen: Vec<_> = (0..32).filter_map(Talk::choose).collect();
        assert_eq!(chosen.len(), 8);
        assert!(chosen.iter().all(|(_, module)| module.check().is_ok()));
        assert!(chosen.iter().any(|(_, module)| !module.except.is_empty()));
    }

    #[test]
    fn a_place_says_the_same_however_it_is_cut() {
        for (talk, _) in (0..32).filter_map(Talk::choose) {
            let mut whole = [0; 600];
            talk.ask(0, &mut whole);
            let mut piece = [0; 100];
            talk.ask(321, &mut piece);
            assert_eq!(piece, whole[321..421]);
        }
    }
}
