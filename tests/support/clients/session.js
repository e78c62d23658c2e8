// session.js - what an application does, through one of the official JavaScript clients.
//
//     node session.js CLIENT ENGINE URL PART
//
// CLIENT is the name of a package in package.json, ENGINE a kind of engine.py's, for what it lacks; URL is Tandem's.
// PART is one of `parts`, and what its indices' names begin with. The exit code is 0 when all that the client said was
// as it should be, and what the indices then held. The parts `retries` and `outage` work as those of session.py,
// and so does $TANDEM_CA_FILE.
//
// SPDX-License-Identifier: Apache-2.0
'use strict'

const assert = require('assert')
const fs = require('fs')

const GIVE_UP_MS = 60000
const [, , name, engine, url, part] = process.argv
const {Client, errors} = require(name)
const eight = name === 'elasticsearch-js-8'
const opensearch = name === 'opensearch-js'
const scripts = !engine.startsWith('elasticsearch-8')
const pointsInTime = engine === (opensearch ? 'opensearch-2.19' : 'elasticsearch-8.8')

// The client of Elasticsearch 8 takes the members of a body as arguments and returns bodies; the others have `body`.
const source = (value) => eight ? {document: value} : {body: value}
const body = (members) => eight ? members : {body: members}
const of = (answer) => eight ? answer : answer.body
const compressed = {compression: eight ? true : 'gzip'}

const sniffs = {sniffOnStart: true, sniffOnConnectionFault: true, sniffInterval: 50}
if (process.env.TANDEM_CA_FILE) {
  sniffs[eight ? 'tls' : 'ssl'] = {ca: fs.readFileSync(process.env.TANDEM_CA_FILE)}
}
const nodesOf = (client) => client.connectionPool.connections.map((each) => each.url.href.replace(/\/$/, ''))

const range = (count) => [...Array(count).keys()]
const refused = (status, promise) => assert.rejects(promise, (error) => {
  assert(error instanceof errors.ResponseError, error)
  assert.strictEqual(error.statusCode, status)
  return true
})

// All documents, by the scroll helper and its small pages: {id: source}.
async function contents (client, index) {
  await client.indices.refresh({index})
  const found = {}
  for await (const page of client.helpers.scrollSearch({index, size: 250, ...body({query: {match_all: {}}})})) {
    for (const hit of page.body.hits.hits) found[hit._id] = hit._source
  }
  assert.strictEqual(of(await client.count({index})).count, Object.keys(found).length)
  return found
}

// ---- single documents ----

async function documents () {
  const client = new Client({node: url})
  const index = 'documents-books'
  assert(of(await client.ping()) && of(await client.info()).version.number)
  await client.indices.create({index, ...body({settings: {number_of_shards: 2}})})
  const answer = await client.index({index, id: '1', ...source({title: 'Solaris'})}, {meta: true})
  assert.strictEqual(answer.headers['x-tandem-outcome'], 'applied')
  const first = answer.body
  const made = of(await client.index({index, ...source({title: 'Fiasco'})}))._id
  await client.create({index, id: 'a b/ü', ...source({title: 'Eden'})})
  assert.deepStrictEqual(of(await client.get({index, id: made}))._source, {title: 'Fiasco'})
  assert(of(await client.exists({index, id: 'a b/ü'})) && !of(await client.exists({index, id: '2'})))
  const changed = await changes(client, index, first)
  await client.index({index, id: '2', ...source({title: 'gone soon'})})
  assert.strictEqual(of(await client.delete({index, id: '2'})).result, 'deleted')
  await refused(404, client.delete({index, id: '2'}))
  await refused(404, client.get({index, id: '2'}))
  const docs = of(await client.mget({index, ...body({ids: ['1', '2']})})).docs
  assert.deepStrictEqual(docs.map((each) => each.found), [true, false])
  assert.deepStrictEqual(await contents(client, index), {1: changed, up: {title: 'The Cyberiad'},
    [made]: {title: 'Fiasco'}, 'a b/ü': {title: 'Eden'}})
}

// Updates and conflicts of document 1; what it is then.
async function changes (client, index, first) {
  const one = {index, id: '1'}
  const now = {title: 'Solaris', pages: 204}
  const update = of(await client.update({...one, ...body({doc: {pages: 204}})}))
  assert(update.result === 'updated' && update.get === undefined)
  assert.strictEqual(of(await client.update({...one, ...body({doc: {pages: 204}})})).result, 'noop')
  if (scripts) {
    await client.update({...one, ...body({script: {source: 'ctx._source.pages += params.more', params: {more: 10}}})})
    now.pages = 214
  }
  await client.update({index, id: 'up', ...body({doc: {title: 'The Cyberiad'}, doc_as_upsert: true})})
  await refused(404, client.update({index, id: 'none', ...body({doc: {a: 1}})}))
  const conflict = await client.create({...one, ...source({})}).catch((error) => error)
  assert.deepStrictEqual([conflict.statusCode, conflict.meta.headers['x-tandem-outcome']], [409, 'unknown'])
  await refused(409, client.index({...one, if_seq_no: first._seq_no, if_primary_term: first._primary_term,
    ...source({})}))
  const seen = of(await client.get(one))
  now.read = true
  await client.index({...one, if_seq_no: seen._seq_no, if_primary_term: seen._primary_term, ...source(now)})
  return now
}

// ---- many at once ----

async function bulks () {
  const client = new Client({node: url, ...compressed})
  const index = 'bulks-lines'
  const expected = Object.fromEntries(range(2000).map((n) => [String(n), {n, text: `line ${n} of many`}]))
  const stats = await client.helpers.bulk({datasource: Object.values(expected), flushBytes: 20000,
    onDocument: (doc) => ({index: {_index: index, _id: String(doc.n)}})})
  assert.deepStrictEqual([stats.total, stats.successful, stats.failed], [2000, 2000, 0])
  const dropped = []
  await client.helpers.bulk({datasource: [{n: 1}, {n: 5000}], onDrop: (drop) => dropped.push(drop.status),
    onDocument: (doc) => ({create: {_index: index, _id: String(doc.n)}})})
  assert.deepStrictEqual(dropped, [409])
  await client.helpers.bulk({datasource: [{n: 2}], onDocument: () => ({delete: {_index: index, _id: '2'}})})
  await client.helpers.bulk({datasource: [{seen: true}],
    onDocument: () => [{update: {_index: index, _id: '0'}}, {doc_as_upsert: true}]})
  const unnamed = await client.helpers.bulk({datasource: range(700).map((n) => ({n})),
    onDocument: () => ({index: {_index: 'bulks-unnamed'}})})
  assert.strictEqual(unnamed.successful, 700)
  await client.indices.refresh({index: 'bulks-unnamed'})
  const numbers = []
  for await (const doc of client.helpers.scrollDocuments({index: 'bulks-unnamed', size: 100})) numbers.push(doc.n)
  assert.deepStrictEqual(numbers.sort((a, b) => a - b), range(700))
  const plain = [{index: {_index: index, _id: 'plain'}}, {n: 6000}, {delete: {_index: index, _id: 'none'}}]
  const items = of(await client.bulk(eight ? {operations: plain} : {body: plain})).items
  assert.deepStrictEqual(items.map((item) => Object.values(item)[0].status), [201, 404])
  Object.assign(expected, {0: {...expected[0], seen: true}, 5000: {n: 5000}, plain: {n: 6000}})
  delete expected[2]
  assert.deepStrictEqual(await contents(client, index), expected)
}

// ---- by query ----

async function byQuery () {
  const client = new Client({node: url})
  const [index, copy] = ['by-query-rows', 'by-query-copy']
  await client.helpers.bulk({datasource: range(900).map((n) => ({n})), refreshOnCompletion: true,
    onDocument: (doc) => ({index: {_index: index, _id: String(doc.n)}})})
  const updated = of(await client.updateByQuery({index, refresh: true, ...body({query: {range: {n: {lt: 300}}},
    script: {source: 'ctx._source.low = true'}})}))
  assert.deepStrictEqual([updated.updated, updated.failures], [300, []])
  const gone = of(await client.deleteByQuery({index, refresh: true, ...body({query: {range: {n: {gte: 600}}}})}))
  assert.strictEqual(gone.deleted, 300)
  const expected = Object.fromEntries(range(600).map((n) => [String(n), n < 300 ? {n, low: true} : {n}]))
  assert.deepStrictEqual(await contents(client, index), expected)
  const made = of(await client.reindex({refresh: true, ...body({source: {index}, dest: {index: copy}})}))
  assert.strictEqual(made.created, 600)
  const {task} = of(await client.deleteByQuery({index: copy, wait_for_completion: false,
    ...body({query: {term: {low: true}}})}))
  const done = of(await client.tasks.get({task_id: task, wait_for_completion: true, timeout: '20s'}))
  assert.deepStrictEqual([done.completed, done.response.deleted], [true, 300])
  assert.deepStrictEqual(await contents(client, copy), Object.fromEntries(range(600).slice(300).map((n) =>
    [String(n), {n}])))
}

// ---- reading, and the names of indices ----

async function reading () {
  const client = new Client({node: url})
  const [old, next, alias] = ['reading-000001', 'reading-000002', 'reading-current']
  await client.indices.putIndexTemplate({name: 'reading', ...body({index_patterns: ['reading-*'], template: {
    settings: {number_of_shards: 2}, mappings: {properties: {word: {type: 'keyword'}}}}})})
  await client.indices.create({index: old, ...body({aliases: {[alias]: {is_write_index: true}}})})
  for (const n of range(20)) {
    await client.index({index: alias, id: String(n), refresh: n === 19 ? 'wait_for' : false,
      ...source({word: 'w' + n})})
  }
  const found = of(await client.search({index: alias, ...body({query: {term: {word: 'w7'}}})}))
  assert.strictEqual(found.hits.hits[0]._id, '7')
  const rolled = of(await client.indices.rollover({alias, ...body({conditions: {max_docs: 10}})}))
  assert(rolled.rolled_over && rolled.new_index === next)
  await client.index({index: alias, id: '20', refresh: true, ...source({word: 'w20'})})
  await client.indices.updateAliases(body({actions: [{add: {index: old, alias: 'reading-old'}},
    {remove: {index: old, alias}}]}))
  await client.indices.putAlias({index: next, name: 'reading-new'})
  assert.deepStrictEqual(Object.keys(of(await client.indices.getAlias({index: 'reading-*'}))).sort(), [old, next])
  assert.strictEqual(of(await client.count({index: alias})).count, 1)
  await client.indices.putMapping({index: next, ...body({properties: {more: {type: 'long'}}})})
  const searcher = client.helpers.msearch()
  const searched = await Promise.all([old, next].map((index) => searcher.search({index}, {query: {match_all: {}}})))
  assert.deepStrictEqual(searched.map((each) => each.body.hits.total.value), [20, 1])
  searcher.stop()
  if (pointsInTime) {
    assert.deepStrictEqual((await pages(client, old)).sort((a, b) => a - b), range(20).map(String))
  }
  assert.strictEqual(Object.keys(await contents(client, 'reading-0*')).length, 21)
}

// The ids of all documents by a point in time, in pages of seven; one that comes later is not among them.
async function pages (client, index) {
  const point = opensearch
    ? of(await client.createPit({index, keep_alive: '1m'})).pit_id
    : of(await client.openPointInTime({index, keep_alive: '1m'})).id
  await client.index({index, id: 'later', refresh: true, ...source({word: 'later'})})
  const found = []
  for (let after = {}, hits = Array(7); hits.length === 7;) {
    hits = of(await client.search(body({size: 7, query: {match_all: {}}, sort: [{word: 'asc'}],
      pit: {id: point, keep_alive: '1m'}, ...after}))).hits.hits
    found.push(...hits.map((hit) => hit._id))
    after = hits.length > 0 ? {search_after: hits[hits.length - 1].sort} : {}
  }
  if (opensearch) await client.deletePit({body: {pit_id: [point]}})
  else await client.closePointInTime(body({id: point}))
  await client.delete({index, id: 'later', refresh: true})
  return found
}

// ---- where it sends its requests ----

async function sniffing () {
  const client = new Client({node: url, ...sniffs})
  const index = 'sniffing-sniffed'
  const sniffed = []
  const events = eight ? client.diagnostic : client
  events.on('sniff', (error) => sniffed.push(error))
  const end = Date.now() + GIVE_UP_MS
  let count = 0
  for (; count < 30 || sniffed.length < 4; count++) {
    await client.index({index, id: String(count), ...source({n: count})})
    assert.deepStrictEqual(nodesOf(client), [url])
    assert(Date.now() < end, 'it does not sniff')
  }
  assert.deepStrictEqual(sniffed.filter((error) => error), [])
  assert.deepStrictEqual(await contents(client, index), Object.fromEntries(range(count).map((n) => [String(n), {n}])))
}

// ---- Tandem goes away and comes back ----

async function retries () {
  const client = new Client({node: url, maxRetries: 5, ...sniffs})
  const state = {client, index: part + '-kept', written: {}, ended: false}
  process.stdin.resume().on('end', () => { state.ended = true })
  const said = setInterval(() => console.log('written', Object.keys(state.written).length), 100)
  await Promise.all(range(4).map((number) => write(state, number)))
  clearInterval(said)
  assert.deepStrictEqual(await contents(client, state.index), state.written)
  assert.deepStrictEqual(nodesOf(client), [url])
  console.log('written', Object.keys(state.written).length)
}

// In turn by index, create and a bulk of ten, each until the client says that it is there.
async function write (state, number) {
  const {client, index, written} = state
  for (let n = 0; !state.ended; n++) {
    const [id, doc] = [`${number}-${n}`, {n}]
    if (n % 3 === 0) {
      await untilItWorks(() => client.index({index, id, ...source(doc)}))
      written[id] = doc
    } else if (n % 3 === 1) {
      await create(client, index, id, doc)
      written[id] = doc
    } else {
      const ten = range(10).map((k) => ({id: `${id}-${k}`, doc: {n, k}}))
      const stats = await untilItWorks(() => client.helpers.bulk({datasource: ten.map((each) => each.doc),
        onDocument: (doc) => ({index: {_index: index, _id: `${id}-${doc.k}`}})}))
      assert.strictEqual(stats.successful, 10)
      for (const each of ten) written[each.id] = each.doc
    }
  }
}

// A conflict is the trace of an earlier try whose answer was lost: nobody else has this id.
async function create (client, index, id, doc) {
  try {
    await untilItWorks(() => client.create({index, id, ...source(doc)}))
  } catch (error) {
    if (error.statusCode !== 409) throw error
    assert.deepStrictEqual(of(await untilItWorks(() => client.get({index, id})))._source, doc)
  }
}

// As applications do: a while without Tandem is longer than the client tries by itself.
async function untilItWorks (call) {
  for (const end = Date.now() + GIVE_UP_MS; ;) {
    try {
      return await call()
    } catch (error) {
      const again = error instanceof errors.ResponseError ? [502, 503, 504].includes(error.statusCode)
        : [errors.ConnectionError, errors.TimeoutError, errors.NoLivingConnectionsError].some((each) =>
          error instanceof each)
      if (!again || Date.now() > end) throw error
      console.log('again')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

const parts = {documents, bulks, by_query: byQuery, reading, sniffing, retries, outage: retries}

// Connections that are kept open do not keep the program.
parts[part]().then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
