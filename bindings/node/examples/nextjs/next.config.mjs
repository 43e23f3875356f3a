export default {
  // The addon cannot be in a bundle.
  serverExternalPackages: ['fanfare'],
  // There are other packages above this folder.
  turbopack: { root: import.meta.dirname },
};
