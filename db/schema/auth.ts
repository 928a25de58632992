import { pgTable, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** Console sessions; the cookie's token is stored only as its SHA-256. */
export const sessions = pgTable('sessions', {
  tokenSha256: text('token_sha256').primaryKey(),
  username: text('username').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  expiresAt: instant('expires_at').notNull(),
});
