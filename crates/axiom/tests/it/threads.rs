//! The same seed is the same run, whatever the number of threads and of slots of the sandbox.

use crate::binary::{folder, run, uninterrupted};

#[test]
fn threads_change_nothing() {
    for threads in ["1", "3"] {
        let (_dir, dir) = folder();
        let found = run("grpo", &dir, threads);
        found.assert_equals(uninterrupted("grpo"), &format!("--threads {threads} against 2"));
    }
}

#[test]
fn seeds_change_everything() {
    let (_dir, dir) = folder();
    let mut command = crate::binary::start_run("grpo", &dir, "2");
    assert!(command.args(["--seed", "1"]).output().unwrap().status.success());
    let other = crate::binary::Run::read(&dir);
    assert!(other.weights != uninterrupted("grpo").weights);
}
