//! What `--help` teaches beside the options.

/// The ways to call it.
pub(super) const USAGE: &str = "\
tcpcopy -x RULE [OPTIONS]            copy until Ctrl-C
       tcpcopy doctor -x RULE [OPTIONS]     will it work here? copies nothing
       tcpcopy record -x PORT -o FILE       into a capture file; sends nothing
       tcpcopy inspect CAPTURE...           what is in capture files? sends nothing
       tcpcopy report RUN.json... -o FILE   a run as one HTML file; several, compared";

/// Examples, what a user must know before, and the exit status.
pub(super) const EXAMPLES: &str = "\
Examples:
  Copy what clients ask this host's port 80 to 10.0.0.9, for ten minutes:
      tcpcopy -x 80-10.0.0.9:80 --duration 10m
  One address of several, on one interface, a tenth of the connections, IPv6:
      tcpcopy -i eth0 -x [2001:db8::1]:80-[2001:db8::9]:8080 -r 10
  Three sessions for each connection (stress test), with a source range of one's own:
      tcpcopy -x 80-10.0.0.9:80 -n 3 -c 10.0.0.5:10000-19999
  With the clients' own addresses, replies going to an assistant that runs intercept, which
  has a copy of the key that `tcpcopy keygen channel.key` has made:
      tcpcopy -x 80-10.0.0.9:80 -s 10.0.0.7 --key-file channel.key
  What clients ask a container, from the host (PID is a process of the container):
      tcpcopy --netns PID -x 80-10.0.0.9:80
  Nothing arrives? Ask what is wrong and what to do, with the options of the run:
      tcpcopy doctor -x 80-10.0.0.9:80
  What a run found, as a file to send; two runs side by side:
      tcpcopy report run.json -o report.html
      tcpcopy report before.json after.json -o report.html
  In a script: fail (exit 3) if the target took less than 99.9 % of the requests,
  differs in more than 0.1 % of the responses or is slower by more than 20 %, and
  with 4 if that cannot be judged:
      tcpcopy -x 80-10.0.0.9:80 --duration 5m --summary run.json \\
        --min-fidelity 99.9 --max-differing 0.1 --max-slower 20% --max-lag 1s --min-requests 1000

THE TARGET WILL EXECUTE THE REQUESTS, WRITES INCLUDED.
It must not share a database with the online server, nor call the online service
(as a proxy whose upstream it is): each request would come again, for ever. What
comes from a target's address is left out; behind NAT a run finds out, and ends
with exit status 1 (docs/loops.md).

Without -s (direct mode) replies come back to this host and are consumed before
its own TCP sees them: no second machine and no route change. The target sees
every client's request come from this host's own address, and trusts it as far
as it trusts this host; -c takes another one. With -s (assistant mode) the target
must send what its service answers to the assistant server, and nothing else: by
two commands that the doctor prints. Copies leave network by network (/24, /64),
each after it has proven that its replies come back through intercept.

Letters that differ from TCPCopy's:
  -i  names the online interfaces (there: a capture file, in the offline build;
      here `tcpcopy replay --pcap FILE` has those)
  -s  is optional: without it replies come back to this host (there: required)
  -c  takes CIDR and ADDR:LOW-HIGH besides a.b.c.x, and applies to every target
  -n  needs a reply pool of its own in assistant mode, so that copies cannot
      collide (there: ports are shifted)
  -r  samples whole connections by a hash: with the same --seed a run takes
      the same ones again

Exit status:
  0  done
  1  failed while running, or copies came back as requests (a loop)
  2  unusable arguments or environment (nothing was changed)
  3  a limit was not kept: --min-fidelity, --max-differing, --max-difference,
     --max-slower, --max-lag, --min-requests; or no packet of a replay's
     files belongs to -x
  4  nothing to judge: the run was not ready within --ready-timeout; or a limit
     was given, and nothing was captured, or the run cannot tell (--strict: 3)
SIGINT, SIGTERM and SIGHUP end a run cleanly: capture stops, open requests
are drained. A second SIGINT or SIGTERM ends it at once. Under nohup SIGHUP does
nothing.";

/// The exit status of a look into capture files.
pub(super) const INSPECT_EXIT: &str = "\
What is read, and what a replay makes of it: docs/captures.md

Exit status:
  0  there are TCP packets in it
  2  a file cannot be read as a capture: its words say why
  3  there is no TCP packet in it: the table says what there is instead";

/// The same of the doctor.
pub(super) const DOCTOR_EXIT: &str = "\
Other options of a run are taken and checked as well: `tcpcopy --help` has them.

The findings go to standard output; with --json as one JSON document. What a
finding means and what to do about it: docs/doctor.md

Exit status:
  0  the path to every target is proven
  1  it is not: each FAIL says why, and what to do
  2  unusable arguments or environment: a run would refuse to start";

/// Examples of a recording, and its exit status.
pub(super) const RECORD_EXIT: &str = "\
Examples:
  Ten minutes of what clients ask port 80 of this host, compressed; then replay it:
      tcpcopy record -x 80 -o monday.pcapng.zst --duration 10m
      tcpcopy replay --pcap monday.pcapng.zst -x 80-10.0.0.9:80
  A file an hour, the answers whole, logins overwritten:
      tcpcopy record -x 80 -o day.pcapng --rotate-every 1h --responses whole --mask

THE FILE HOLDS WHAT CLIENTS SEND: names, logins, and all else. Only its owner may
read it; --mask overwrites the best-known secrets of HTTP/1.

Exit status:
  0  done
  1  failed while recording: a full disk, for example; what was written before is
     readable
  2  unusable arguments or environment (nothing was changed)
  3  there was no packet of any service";

/// Examples of `tcpcopy ctl`, and its exit status.
pub(super) const CTL_EXIT: &str = "\
Examples:
  tcpcopy ctl status
  tcpcopy ctl set percent 50          half of the connections that begin from now on
  tcpcopy ctl set copies 2
  tcpcopy ctl set rate 2000
  tcpcopy ctl pause
  tcpcopy ctl resume
  tcpcopy ctl stop

Exit status:
  0  done
  1  the run has refused it: it says why
  2  no run was found, or it does not answer";
