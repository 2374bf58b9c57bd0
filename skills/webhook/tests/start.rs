//! A webhook without a URL does not start.

use cis_skill_sdk::native::TestHost;
use webhook::Webhook;

#[test]
fn the_url_is_needed_at_once() {
    for host in [TestHost::new(), TestHost::new().config("url", "")] {
        let mut host = host;
        let failure = host.send::<Webhook>("webhook.send", "{}").failure();
        assert_eq!(failure.message, "the setting `url` is empty");
    }
}
