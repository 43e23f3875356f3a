// The same with the types of the Fetch standard; only compiled, never run.

import { Hub } from 'fanfare';
import { createResponse } from 'fanfare/sse';

export function GET(hub: Hub, request: Request): Response {
  createResponse(request, { hub }, (session) => session.push(1)) satisfies Response;
  return hub.response(request, { topics: 'a' });
}
