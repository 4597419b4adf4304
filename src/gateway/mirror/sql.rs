//! The statements that write a payment's row, and say which attempt answers for an id.

pub(super) const UPSERT: &str = "
    INSERT INTO payments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
        ?16, ?17, ?18, ?19, ?20, ?21, ?22, NULL)
    ON CONFLICT (began_lsn) DO UPDATE SET state = ?12, reason = ?13, payer_vote = ?14,
        recipient_vote = ?15, payer_settled = ?16, recipient_settled = ?17, decided_lsn = ?19,
        decided_unix_ms = ?20, ended_lsn = ?21";

/// The attempt before that answers for a client's id. It is never one of this lineage: there a
/// client's id is begun once.
pub(super) const ANSWERING: &str = "
    SELECT began_lsn, state = 'COMMITTED' FROM payments
    WHERE taken_over = 1 AND client_id = ?1 AND transaction_id = ?2 AND superseded_by IS NULL
        AND began_lsn <> ?3";

/// From an attempt to the one that answers instead of it.
pub(super) const SUPERSEDING: &str = "
    WITH RECURSIVE chain (lsn, next) AS (
        SELECT began_lsn, superseded_by FROM payments WHERE began_lsn = ?1
        UNION
        SELECT began_lsn, superseded_by FROM payments JOIN chain ON began_lsn = chain.next)
    SELECT lsn FROM chain WHERE next IS NULL";
