//! stub
#[derive(Clone)]
pub struct Feed;
impl Feed {
    pub fn send_image(&self, _b: wal::BatchImage) {}
}
