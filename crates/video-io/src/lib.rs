//! `video-io`
