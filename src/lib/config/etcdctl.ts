import {LeashError} from '../core/errors.ts'
import type {Origin} from './origin.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Refuses variables of etcdctl that say how etcd is reached, in a way that leash does not offer, where leash would reach it
 * otherwise and nobody would notice. Those that leash obeys are settings; the others (timeouts, output) do not decide which
 * etcd is asked, or by whom.
 *
 * @param endpoints where the endpoints come from; undefined if there are none
 * @throws LeashError `config`
 */
export function refuseForeignWays(environment: Environment, endpoints: Origin | undefined): void {
  const isEtcdctls = endpoints?.kind === 'environment' && endpoints.variable === 'ETCDCTL_ENDPOINTS'
  if (environment['ETCDCTL_DISCOVERY_SRV'] && (endpoints === undefined || isEtcdctls))
    throw new LeashError(
      'config',
      'ETCDCTL_DISCOVERY_SRV asks for endpoints from DNS, which leash does not look up',
      'name the members in LEASH_ENDPOINTS',
    )
  if (environment['ETCDCTL_AUTH_JWT_TOKEN'])
    throw new LeashError(
      'config',
      'ETCDCTL_AUTH_JWT_TOKEN gives a token, which leash could not renew while it holds a lock',
      'set LEASH_USER and LEASH_PASSWORD_FILE, and unset it',
    )
}

/**
 * For endpoints at https: refuses to trust anybody, as etcdctl would. A switch that etcdctl does not understand counts.
 *
 * @throws LeashError `config`
 */
export function refuseBlindTrust(environment: Environment): void {
  const asked = environment['ETCDCTL_INSECURE_SKIP_TLS_VERIFY']
  if (!asked || /^(?:false|f|0)$/i.test(asked)) return
  throw new LeashError(
    'config',
    'ETCDCTL_INSECURE_SKIP_TLS_VERIFY asks to trust anybody, who could then give one lock to two',
    'name in LEASH_CACERT who vouches for the members, and unset it',
  )
}
