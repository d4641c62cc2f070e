//! When connections end. The hours that tests take are told, not waited for.

use super::{End, FIRST_TIMEOUT, IDLE_TIMEOUT, Life, Observed, Open, STALL_TIMEOUT};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOUR: Duration = Duration::from_secs(3600);

fn after(life: &Life, time: Duration) -> Result<End, Duration> {
    life.judge(life.now() + u64::try_from(time.as_millis()).expect("some hours"))
}

#[test]
fn who_asks_nothing_is_sent_away() {
    let life = Life::new();
    assert!(life.judge(0).is_err_and(|later| later <= FIRST_TIMEOUT));
    assert_eq!(after(&life, FIRST_TIMEOUT), Ok(End::Idle));
}

#[test]
fn a_request_keeps_the_connection_while_it_lasts() {
    let life = Arc::new(Life::new());
    let open = Open::new(&life);
    assert!(after(&life, HOUR).is_err());
    drop(open);
    assert!(after(&life, FIRST_TIMEOUT).is_err(), "who asked once may think longer");
    assert_eq!(after(&life, IDLE_TIMEOUT), Ok(End::Idle));
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off() {
    let life = Arc::new(Life::new());
    let _open = Open::new(&life);
    let (ours, mut theirs) = tokio::io::duplex(64);
    let mut ours = Observed { inner: ours, life: Arc::clone(&life) };
    let mut writing = Box::pin(ours.write_all(&[0; 128]));
    assert!(futures_util::poll!(&mut writing).is_pending());
    assert!(after(&life, STALL_TIMEOUT / 2).is_err());
    assert_eq!(after(&life, STALL_TIMEOUT * 2), Ok(End::Stalled));
    let mut taken = [0; 128];
    theirs.read_exact(&mut taken[..64]).await.expect("it was written");
    assert!(futures_util::poll!(&mut writing).is_ready());
    assert!(after(&life, HOUR).is_err(), "it was taken");
}
