import {type Given, refused} from './origin.ts'

/**
 * Reads a switch: the words that etcdctl knows for its own, in any case.
 *
 * @throws LeashError `usage` or `config`
 */
export function parseBoolean(given: Given): boolean {
  if (/^(?:true|t|1)$/i.test(given.text)) return true
  if (/^(?:false|f|0)$/i.test(given.text)) return false
  throw refused(given, 'is neither true nor false', 'write true or false')
}
