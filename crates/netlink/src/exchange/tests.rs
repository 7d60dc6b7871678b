use super::*;

#[test]
fn a_list_that_changes_each_time_is_given_up_and_says_so() {
    let mut readings = 0;
    let error = until_whole("listing links", || {
        readings += 1;
        Ok((vec![1], false))
    });
    assert_eq!(error.unwrap_err().to_string(), "listing links: it changed while it was read, 8 times");
    assert_eq!(readings, 8);
    let mut readings = 0;
    let whole = until_whole("listing links", || {
        readings += 1;
        Ok((vec![readings], readings == 3))
    });
    assert_eq!(whole.unwrap(), [3]);
}

#[test]
fn the_wait_for_an_answer_ends() {
    let mut socket = Socket::open(0).unwrap();
    assert_eq!(receive(&mut socket, Instant::now()).unwrap(), None);
    let error = Answer::Silence.of("setting eth0 up").unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting eth0 up: the kernel has not answered within 1s; whether it was done is not known"
    );
}
