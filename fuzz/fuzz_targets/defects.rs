//! Any bytes: the reader of defect lists may refuse them, but never panics, and what it reads is written and read again
//! as it is: that is how a list goes from the command line to the exporter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qastack::exporter::defect_list::{read, write};

fuzz_target!(|bytes: &[u8]| {
    const NOW: i64 = 1_772_452_800;
    if let Ok(list) = read(bytes, NOW) {
        assert!(!list.defects.is_empty());
        let again = read(&write(&list.defects), NOW);
        assert_eq!(again.map(|list| list.defects), Ok(list.defects));
    }
});
