//! Event streams with actix-web.

use std::error::Error;

use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use fanfare::{EventStream, Hub, StreamOptions, Subscription};
use fanfare_frameworks::{hub, Settings};

async fn events(hub: Data<Hub>, topic: Path<String>, request: HttpRequest) -> HttpResponse {
    let Ok(wanted) = Subscription::new(&topic) else { return HttpResponse::BadRequest().finish() };
    let last_id = request.headers().get("last-event-id");
    let last_id = last_id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let options = StreamOptions::default().last_event_id(last_id.unwrap_or_default());
    match hub.subscribe([wanted], options) {
        Ok(stream) if stream.is_complete() => HttpResponse::NoContent().finish(),
        Ok(stream) => {
            let mut response = HttpResponse::Ok();
            EventStream::HEADERS.into_iter().for_each(|field| _ = response.insert_header(field));
            response.streaming(stream)
        }
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let hub = Data::new(hub()?);
    let app =
        move || App::new().app_data(hub.clone()).route("/events/{topic:.*}", web::get().to(events));
    let (server, settings) = (HttpServer::new(app).workers(2), Settings::from_arguments()?);
    let server = match settings.tls {
        None => server.listen_auto_h2c(settings.listener)?,
        Some(tls) => server.listen_rustls_0_23(settings.listener, tls)?,
    };
    Ok(actix_web::rt::System::new().block_on(server.run())?)
}
