import { hub } from '../../../hub.js';

export const dynamic = 'force-dynamic';

export async function GET(request, { params }) {
  const { topic } = await params;
  return hub.response(request, { topics: topic, headers: { 'X-App': 'nextjs' } });
}
