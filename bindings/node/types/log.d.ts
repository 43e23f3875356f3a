/** Each has those before it as well. `debug` is what happens with each connection. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/** A record of the engine's log. */
export interface LogRecord {
  level: LogLevel;
  /** The part of the engine that it is from, such as `fanfare::hub`. */
  target: string;
  /** What has happened: one line. */
  message: string;
  /** Whether the message was longer than 1,024 bytes, and was cut. */
  isCut: boolean;
  /** When it was made, in milliseconds since 1970. */
  at: number;
  /** The records that were lost since the one before, because too many waited. */
  lost: number;
}

export interface LogOptions {
  /** The level up to which the engine is asked for records. Default: `warn`. */
  level?: LogLevel | undefined;
  /**
   * The most records that wait to be logged; the next one counts those that were lost.
   * Bounds: 1 to 65,536. Default: 1,000.
   */
  capacity?: number | undefined;
}

/**
 * Gives what the engine logs to a function from now on: of all hubs of the process. It takes the place
 * of the function of before, of this thread: each worker may have its own. The function is called in
 * its turn of the event loop, and no thread of the engine enters JavaScript or waits for it. The log
 * does not keep the process going. An error that the function throws is an uncaught exception.
 *
 * @param take The function; `null` for none, as at first. Records that wait are dropped then.
 * @throws {FanfareError} FANFARE_ERR_OPTIONS; FANFARE_ERR_LIMIT when 16 other parts of the process have
 * the engine's log already. Then the function of before has it still.
 */
export function logTo(take: ((record: LogRecord) => void) | null | undefined, options?: LogOptions): void;
