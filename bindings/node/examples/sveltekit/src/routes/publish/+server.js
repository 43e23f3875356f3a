import { hub } from '$lib/hub.js';

export async function POST({ request }) {
  const { topic, data } = await request.json();
  return Response.json({ id: hub.publish(topic, data), connections: hub.metrics().connections });
}
