import { chatOccasions } from "./chat.ts";

/**
 * Something that happened elsewhere, and that people are told of without anybody having asked for it. Of one origin a
 * person is told once, by the first occasion that names them.
 */
export type Occasion = {
  /** The entry that is quoted. Where others tell of the same thing, such as an edit, the first one: whose redaction goes for all. */
  readonly origin: string;
  readonly category: string;
  /** Who is told: ids, or what may be usernames, of which the first that is somebody's counts. */
  readonly to: readonly (number | readonly string[])[];
  /** How many of these are told, the first ones that are somebody and may know of it. */
  readonly peopleMax: number;
  /** Whose members alone are told; null where whoever is named may know. */
  readonly roomId: number | null;
  /** Whose doing it is: they are not told. */
  readonly by: number | null;
  readonly message: string;
  readonly source: string;
  readonly link: string | null;
  /** When it happened, RFC 3339. */
  readonly createdAt: string;
};

/** What the entries of one type are to people: a module that wants them told adds a row, and nothing else. */
export type OccasionRow = {
  /** What the topics of these entries begin with: types are only unique within a kind of topic. */
  readonly topics: `${string}/`;
  readonly type: string;
  /** Whether the entry's data, as text, may hold something to tell. Most do not, and are not parsed. */
  mayTell(data: string): boolean;
  /** Pure; of what is parsed. The most important comes first. */
  occasionsOf(data: unknown): readonly Occasion[];
};

/** Everything of which people are told without a request. */
export const occasionRows: readonly OccasionRow[] = chatOccasions;
