"""A plugin's response that no hook sees on its way to the client: it is written at once, and the request is over.

Such are hits of a cache, files in memory, mocks. The response may be one that the plugin gives again and again, so it
is not changed, and not copied; its head is written from the bytes of the last time, as long as it is the same.
"""

from __future__ import annotations

from gateway_core.hooks import Stop
from gateway_core.messages import Response
from gateway_core.messages.response_lines import note_sent, sent_head
from gateway_core.metrics.counts import PLUGIN
from gateway_core.proxy.downstream.http1_writer import whole_head
from gateway_core.proxy.response_fields import BODILESS, facts_of, own_block
from gateway_core.proxy.response_phase import begin_response
from gateway_core.proxy.running_exchange import RunningExchange


def respond_unseen(owner: RunningExchange, stop: Stop) -> bool:
    """Respond with what a pre-proxy hook returned, if that is all that is to be done; return whether it was.

    :param stop: with a response that is not to be changed.
    """
    response, proxy, chain = stop.result, owner.proxy, owner.chain.for_stop(stop)
    if (
        chain.log
        or chain.response_after("gateway_pre_proxy", stop)
        or owner.trace is not None
        or proxy.tail is not None
        or owner.body is not None
        or owner.reason is not None
        or stop.error is not None
        or type(response) is not Response
        or response.failure is not None
        or response.produced_by
        or response.body_filters
        or response.replaced
        or type(data := response.body) is not bytes
    ):
        return False
    status = response.status
    if owner.head.version == "2" and (status >= 300 or owner.head.facts.upgrade is not None):
        return False  # a call of gRPC is refused otherwise, and no tunnel may begin
    if chain is not owner.chain and owner.route is not None:
        owner.take_route(owner.route, chain)
    may_have_body = status not in BODILESS
    sent, body = sent_head(response), data if may_have_body else b""
    if sent is not None and sent.data is not None and (sent.date is None or sent.date is proxy.date.block()):
        if proxy.keeps_alive and owner.writer.whole(sent.data, owner.id_line, body):
            owner.finish(proxy.now(), outcome=(status << 2) + PLUGIN)
            return True
    elif body[-1:] == b"}" and sent is None and response.is_problem:
        return False  # which gets the request's id
    block, length = own_block(response), len(body) if may_have_body else None
    begin_response(owner)
    owner.writer.start(status, response.reason, block, length, owner.id_line, body, complete=True)
    if sent is None:
        note_sent(response, data)
    elif not (facts := facts_of(block)).has_request_id:
        date = None if facts.has_date else proxy.date.block()
        sent.keep(whole_head(status, response.reason, block + (date or b""), length), date)
    owner.finish(proxy.now(), outcome=(status << 2) + PLUGIN)
    return True
