/** @type {import('next').NextConfig} */
module.exports = {
  reactStrictMode: true,
  poweredByHeader: false,
  compress: false,
  typescript: { ignoreBuildErrors: true }, // `npm test` type-checks the whole project once, in one second
  devIndicators: false,
};
