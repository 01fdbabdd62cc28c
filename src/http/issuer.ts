/** An issuer whose tokens are accepted, and the claims that are read. */
export interface Issuer {
  /** Exactly as in the token’s `iss`. */
  readonly issuer: string;
  /** One of these must be in `aud`. */
  readonly audience: string | readonly string[];
  /** Default: what the issuer’s discovery document names. */
  readonly jwksUri?: string;
  /** Asymmetric ones only. */
  readonly algorithms: readonly string[];
  /** Entra: the one tenant (`tid`) that is accepted. */
  readonly tenantId?: string;
  /** The claim with the person’s e-mail. `email` counts only with `email_verified`. */
  readonly userClaim: string;
  /** The claim with the person’s groups. Without it, no caller of this issuer is in any group. */
  readonly groupsClaim?: string;
  /** Google: Workspace domains (`hd`) whose people are accepted. */
  readonly hostedDomains?: readonly string[];
  /** Google: projects whose service accounts are accepted. */
  readonly serviceAccountProjects?: readonly string[];
}

/** Google signs a token for any Google account, so this issuer must be narrowed. */
export const isGoogle = ({ issuer }: Issuer): boolean =>
  /^(https:\/\/)?accounts\.google\.com\/?$/.test(issuer);

/** Why an issuer’s callers cannot be told from strangers; undefined when they can. */
export const issuerProblem = (issuer: Issuer): string | undefined => {
  const isNarrowed = issuer.hostedDomains !== undefined || issuer.serviceAccountProjects !== undefined;
  if (isGoogle(issuer) && !isNarrowed)
    return `${issuer.issuer} issues tokens to every Google account. Name hostedDomains, serviceAccountProjects or both.`;
  if (!isGoogle(issuer) && isNarrowed)
    return 'hostedDomains and serviceAccountProjects apply to https://accounts.google.com only.';
  return undefined;
};
