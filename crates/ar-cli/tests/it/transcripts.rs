//! Help texts and error messages, word for word.

#[test]
fn transcripts() {
    trycmd::TestCases::new()
        .default_bin_path(assert_cmd::cargo::cargo_bin!("chainrule"))
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.trycmd");
}
