//! The annotated video: `annotated.mp4`, or `annotated.png` for a still picture.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use image::{ImageFormat, RgbImage};
use video_io::{VideoInfo, VideoWriter, VideoWriterConfig};

use super::overlay::Overlay;
use super::write_whole;
use crate::Error;
use crate::sink::{AnalysedFrame, FrameSink};

/// Frames that may wait for the encoder before the analysis waits for it.
const QUEUE: usize = 4;

/// Draws on every frame and writes the result, on a thread of its own beside the analysis.
///
/// The file gets its name only when [`finish`](Self::finish) is called and everything is written; dropped before, it
/// leaves nothing behind.
#[derive(Debug)]
pub struct AnnotatedVideo {
    /// `None` after the worker has gone.
    jobs: Option<SyncSender<Job>>,
    worker: Option<JoinHandle<Result<PathBuf, Error>>>,
}

enum Job {
    Draw(AnalysedFrame),
    Finish,
}

impl AnnotatedVideo {
    /// Begins `annotated.mp4` in a folder that exists, with the sound of `source`; `annotated.png` for a still picture.
    pub fn create(folder: &Path, source: &Path, info: &VideoInfo) -> Self {
        let (folder, source, info) = (folder.to_owned(), source.to_owned(), info.clone());
        let (sender, receiver) = sync_channel(QUEUE);
        let worker = std::thread::spawn(move || {
            if info.still { write_still(&folder, &receiver) } else { write_video(&folder, source, &info, &receiver) }
        });
        Self { jobs: Some(sender), worker: Some(worker) }
    }

    /// Waits until everything is written and gives the file's path.
    ///
    /// # Errors
    /// [`Error::Media`] when encoding failed, [`Error::Drawing`] or [`Error::Io`] for a still picture.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        self.send(Job::Finish)?;
        self.join()
    }

    fn send(&mut self, job: Job) -> Result<(), Error> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        // The worker goes away early only when it failed: its own error says more than the broken queue.
        if sent { Ok(()) } else { self.join().map(|_| ()) }
    }

    fn join(&mut self) -> Result<PathBuf, Error> {
        self.jobs = None;
        let ended = || Error::Drawing { source: "the thread that draws ended early".into() };
        match self.worker.take() {
            Some(worker) => worker.join().unwrap_or_else(|_| Err(ended())),
            None => Err(ended()),
        }
    }
}

impl FrameSink for AnnotatedVideo {
    fn frame(&mut self, frame: AnalysedFrame) -> Result<(), Error> {
        self.send(Job::Draw(frame))
    }
}

impl Drop for AnnotatedVideo {
    fn drop(&mut self) {
        // Without a finish the worker removes what it wrote; wait until it has.
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            worker.join().ok();
        }
    }
}

/// Ends without a file: the queue was closed before it was finished.
fn abandoned<T>() -> Result<T, Error> {
    Err(Error::Drawing { source: "the annotated video was not finished".into() })
}

fn write_video(folder: &Path, source: PathBuf, info: &VideoInfo, jobs: &Receiver<Job>) -> Result<PathBuf, Error> {
    let path = folder.join("annotated.mp4");
    let config = VideoWriterConfig {
        width: info.width,
        height: info.height,
        frame_rate: info.frame_rate,
        audio_from: Some(source),
        ..VideoWriterConfig::default()
    };
    let mut writer = VideoWriter::create(&path, config)?;
    let mut overlay = Overlay::new()?;
    for job in jobs {
        match job {
            Job::Draw(mut frame) => {
                overlay.draw(&mut frame);
                writer.write(&frame.frame.image, frame.frame.time)?;
            }
            Job::Finish => {
                writer.finish()?;
                return Ok(path);
            }
        }
    }
    abandoned()
}

fn write_still(folder: &Path, jobs: &Receiver<Job>) -> Result<PathBuf, Error> {
    let path = folder.join("annotated.png");
    let mut drawn = RgbImage::new(1, 1);
    for job in jobs {
        match job {
            Job::Draw(mut frame) => {
                Overlay::new()?.draw(&mut frame);
                drawn = frame.frame.image;
            }
            Job::Finish => {
                let mut png = std::io::Cursor::new(Vec::new());
                drawn
                    .write_to(&mut png, ImageFormat::Png)
                    .map_err(|source| Error::Drawing { source: source.into() })?;
                write_whole(&[(path.clone(), png.get_ref())])?;
                return Ok(path);
            }
        }
    }
    abandoned()
}
