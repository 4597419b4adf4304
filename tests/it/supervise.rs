//! Minding children, with a script in the place of the services.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use strife::config::Config;
use strife::errors::{Exit, Failure};
use strife::home::{Home, Service};
use strife::supervise::{self, Plan, Ready};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Writes its run file and lives as long as its stdin; ends with what `end_<role>` says, if it is
/// there.
const SCRIPT: &str = r#"if [ "$1" = bank ]; then role=bank_$2; else role=$1; fi
if [ -f "$FAKE_HOME/end_$role" ]; then exit "$(cat "$FAKE_HOME/end_$role")"; fi
[ "$STRIFE_SUPERVISED" = 1 ] || exit 2
file="$FAKE_HOME/run/$role.json"
echo "{\"pid\":$$,\"address\":\"a:1\",\"version\":\"0\",\"started_unix_ms\":0}" > "$file.new"
mv "$file.new" "$file"
exec cat > /dev/null
"#;

struct Cluster {
    _keep: TempDir,
    home: Home,
    stop: CancellationToken,
    said: Arc<Mutex<Vec<String>>>,
    run: JoinHandle<Result<(), Failure>>,
    ready: oneshot::Receiver<Ready>,
}

/// Everything up, where each of `ends` (role, exit code) ends at once.
fn up(ends: &[(&str, u8)]) -> Cluster {
    let directory = tempfile::tempdir().expect("a directory");
    let home = Home::new(directory.path().join("home"));
    home.create().expect("made");
    for (role, code) in ends {
        fs::write(home.root().join(format!("end_{role}")), code.to_string()).expect("written");
    }
    let script = directory.path().join("fake");
    fs::write(&script, SCRIPT).expect("written");
    // By way of the shell: a file that was just written may be too busy to be run itself.
    let (program, flags) = (PathBuf::from("/bin/sh"), vec![script.into_os_string()]);
    let environment = vec![("FAKE_HOME".to_owned(), home.root().display().to_string())];
    let plan = Plan { home: home.clone(), config: Config::standard(), program, flags, environment };
    let (stop, said) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
    let (until, heard) = (stop.clone(), Arc::clone(&said));
    let (tell, ready) = oneshot::channel();
    let run = tokio::spawn(async move {
        let say = move |text: &str| heard.lock().expect("unbroken").push(text.to_owned());
        let told = |ready| tell.send(ready).map_err(|_| Failure::plain(Exit::Unexpected, "gone"));
        supervise::run(&plan, until, say, told).await
    });
    Cluster { _keep: directory, home, stop, said, run, ready }
}

fn bank(name: &str) -> Service {
    Service::Bank(name.parse().expect("a name"))
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn everything_stands_and_then_everything_stops() {
    let cluster = up(&[]);
    let ready = cluster.ready.await.expect("ready");
    assert_eq!((ready.ready, ready.down.len(), ready.banks), (true, 0, 6));
    let pid = cluster.home.running(bank("Kotak")).expect("running");
    cluster.stop.cancel();
    cluster.run.await.expect("not aborted").expect("a clean end");
    assert!(!pid.is_alive());
    assert_eq!(cluster.home.running(Service::Gateway), None);
}

#[tokio::test]
async fn a_killed_bank_is_started_again_and_nobody_else_is() {
    let cluster = up(&[]);
    cluster.ready.await.expect("ready");
    let gateway = cluster.home.running(Service::Gateway).expect("running").pid;
    let before = cluster.home.running(bank("HDFC")).expect("running").pid;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(before).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    until(|| cluster.home.running(bank("HDFC")).is_some_and(|now| now.pid != before)).await;
    until(|| cluster.said.lock().expect("unbroken").iter().any(|s| s == "HDFC is back.")).await;
    let said = cluster.said.lock().expect("unbroken").join("\n");
    assert!(said.contains("HDFC was killed by signal 9: starting it again in 100 ms."), "{said}");
    assert_eq!(cluster.home.running(Service::Gateway).map(|now| now.pid), Some(gateway));
    cluster.stop.cancel();
    cluster.run.await.expect("not aborted").expect("a clean end");
}

#[tokio::test]
async fn a_damaged_bank_stays_down_and_the_others_stand() {
    let cluster = up(&[("bank_Axis", 6)]);
    let ready = cluster.ready.await.expect("ready");
    assert_eq!((ready.ready, ready.down), (false, vec!["Axis".to_owned()]));
    assert!(cluster.home.running(bank("HDFC")).is_some());
    let said = cluster.said.lock().expect("unbroken").join("\n");
    assert_eq!(said, "Axis ended with 6 (damaged) and stays down.");
    cluster.stop.cancel();
    cluster.run.await.expect("not aborted").expect("a clean end");
}

#[tokio::test]
async fn a_gateway_that_cannot_start_ends_it_all_with_its_own_code() {
    let cluster = up(&[("gateway", 8)]);
    let failure = cluster.run.await.expect("not aborted").expect_err("over");
    assert_eq!(failure.exit, Exit::Configuration);
    assert!(cluster.ready.await.is_err(), "it never stood");
    assert_eq!(cluster.home.running(bank("HDFC")), None);
}
