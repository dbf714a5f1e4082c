//! A small HTTP server that publishes keys, or misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::signer::Signer;

/// What the server says.
#[derive(Clone)]
pub(crate) enum Answer {
    Body(String),
    Status(u16),
    Redirect(String),
    /// A body without end.
    Endless,
    /// Nothing, while the connection stays open.
    Silence,
}

impl Answer {
    pub(crate) fn keys(keys: &[&Signer]) -> Self {
        Self::raw_keys(&keys.iter().map(|key| key.jwk()).collect::<Vec<_>>())
    }

    pub(crate) fn raw_keys(keys: &[Value]) -> Self {
        Self::Body(json!({ "keys": keys, "other": "members are ignored" }).to_string())
    }
}

pub(crate) struct KeyServer {
    pub(crate) url: String,
    answer: Arc<Mutex<Answer>>,
    hits: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KeyServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (answer, hits) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&hits));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answers.lock().unwrap().clone();
                tokio::spawn(reply(stream, answer));
            }
        })
        .abort_handle();
        Self { url, answer, hits, task }
    }

    pub(crate) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often keys were asked for.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn reply(mut stream: TcpStream, answer: Answer) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}\r\n");
    // A client that has gone away is part of the tests.
    let _ = match answer {
        Answer::Body(body) => {
            let head = head("200 OK", &format!("content-length: {}\r\n", body.len()));
            stream.write_all(format!("{head}{body}").as_bytes()).await
        }
        Answer::Status(status) => {
            stream.write_all(head(&format!("{status} No"), "content-length: 0\r\n").as_bytes()).await
        }
        Answer::Redirect(to) => {
            stream
                .write_all(head("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n")).as_bytes())
                .await
        }
        Answer::Endless => {
            let _ = stream.write_all(head("200 OK", "").as_bytes()).await;
            while stream.write_all(&[b' '; 8192]).await.is_ok() {}
            Ok(())
        }
        Answer::Silence => {
            std::future::pending::<()>().await;
            Ok(())
        }
    };
}
