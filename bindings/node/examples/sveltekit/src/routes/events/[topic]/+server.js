import { hub } from '$lib/hub.js';

export const GET = ({ request, params }) => hub.response(request, { topics: params.topic, headers: { 'X-App': 'sveltekit' } });
