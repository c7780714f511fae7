// Looks at the pages with a real browser: every page of every exporter it is given, narrow and wide, light and dark.
//
// Standard input says where the exporters are: {"sites": [{"name", "address", "pages"}], "pictures": DIRECTORY|null}.
// Standard output says what is wrong, one thing a line; nothing where all is well.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(`${process.env.QASTACK_BROWSER_MODULES}/`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const MOST_BYTES = 150_000;
const LOOKS = [
  { width: 360, height: 740, colorScheme: 'light' },
  { width: 360, height: 740, colorScheme: 'dark' },
  { width: 1280, height: 900, colorScheme: 'dark' },
  { width: 2560, height: 1440, colorScheme: 'light' },
];

const { sites, pictures } = JSON.parse(readFileSync(0, 'utf8'));
const findings = [];
const wrong = (where, what) => findings.push(`${where}: ${what}`);

const browser = await chromium.launch({
  executablePath: process.env.QASTACK_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--hide-scrollbars'],
});
try {
  for (const look of LOOKS) {
    for (const site of sites) {
      // A large store is looked at once: its pages do not differ from the others' but in how long they take.
      if (site.once && look !== LOOKS[3]) continue;
      await lookAt(site, look);
    }
  }
  await useKeyboard(sites[0]);
  await changeColours(sites[0]);
} finally {
  await browser.close();
}
process.stdout.write(findings.map((finding) => `${finding}\n`).join(''));

async function open(site, look) {
  const { width, height, colorScheme } = look;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  return { context, page };
}

async function lookAt(site, look) {
  const { context, page } = await open(site, look);
  let where = site.name;
  let bytes = 0;
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) wrong(where, `console: ${message.text()}`); });
  page.on('pageerror', (error) => wrong(where, `script: ${error.message}`));
  page.on('dialog', async (dialog) => { wrong(where, `a name opened a dialog: ${dialog.message()}`); await dialog.dismiss(); });
  page.on('request', (request) => { if (new URL(request.url()).host !== site.address) wrong(where, `asked elsewhere: ${request.url()}`); });
  page.on('response', async (response) => {
    // A redirect or an empty answer has no body.
    try { bytes += (await response.body()).length; } catch { /* nothing was sent */ }
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  for (const { path, status } of site.pages) {
    where = `${site.name}${path} at ${look.width} px, ${look.colorScheme}`;
    bytes = 0;
    const expected = status ?? 200;
    // The browser tells of an error page on its console; that is what it is.
    const before = findings.length;
    const answer = await page.goto(`http://${site.address}${path}`, { waitUntil: 'networkidle' });
    if (answer.status() !== expected) wrong(where, `answered ${answer.status()} instead of ${expected}`);
    if (expected >= 400) findings.splice(before, findings.length, ...findings.slice(before).filter((one) => !one.includes('Failed to load resource')));
    if (bytes > MOST_BYTES) wrong(where, `weighs ${bytes} bytes`);
    const seen = await page.evaluate(() => ({
      wider: document.documentElement.scrollWidth - innerWidth,
      heading: document.querySelector('h1')?.textContent?.trim(),
      violations: window.violations,
      paper: getComputedStyle(document.body).backgroundColor,
      inline: document.querySelectorAll('main [style], script:not([src]), style').length,
    }));
    if (seen.wider > 0) wrong(where, `is ${seen.wider} px wider than the screen`);
    if (!seen.heading) wrong(where, 'has no heading');
    if (seen.inline) wrong(where, `has ${seen.inline} inline styles or scripts`);
    for (const violation of seen.violations) wrong(where, `broke the policy: ${violation}`);
    const bright = Number(seen.paper.match(/\d+/)?.[0]) > 127;
    if (bright !== (look.colorScheme === 'light')) wrong(where, `is not ${look.colorScheme}: ${seen.paper}`);
    // Evaluated by the debugger, which no policy of a page binds.
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    for (const violation of violations.filter((one) => ['serious', 'critical'].includes(one.impact))) {
      wrong(where, `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
    }
    if (pictures && site.pictures?.[path] && look.width === 1280) {
      await page.screenshot({ path: `${pictures}/${site.pictures[path]}-${look.colorScheme}.png`, clip: { x: 0, y: 0, width: 1280, height: 900 } });
    }
    if (process.env.QASTACK_LOOK) {
      const name = `${site.name}${path}-${look.width}-${look.colorScheme}`.replace(/[^\w.-]+/g, '_').slice(0, 100);
      await page.screenshot({ path: `${process.env.QASTACK_LOOK}/${name}.png`, fullPage: true });
    }
  }
  await context.close();
}

// Without a pointer: to the content, through the ways, into the search and out of it.
async function useKeyboard(site) {
  const where = `${site.name} by keyboard`;
  const { context, page } = await open(site, LOOKS[2]);
  await page.goto(`http://${site.address}/`);
  const focus = () => page.evaluate(() => {
    const one = document.activeElement;
    const style = getComputedStyle(one);
    return { text: (one.textContent || one.getAttribute('aria-label') || '').trim(), outline: style.outlineStyle, id: one.id, name: one.name };
  });
  await page.keyboard.press('Tab');
  if ((await focus()).text !== 'Skip to the content') wrong(where, `the first step leads to ${JSON.stringify(await focus())}`);
  await page.keyboard.press('Enter');
  if ((await focus()).id !== 'content') wrong(where, 'the skip link does not lead to the content');
  await page.keyboard.press('Tab');
  const first = await focus();
  if (!first.text.startsWith('Why')) wrong(where, `the content begins with ${JSON.stringify(first)}`);
  if (first.outline === 'none') wrong(where, 'the focus is not seen');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/figures/flake_rate');
  await page.keyboard.press('/');
  if ((await focus()).name !== 'q') wrong(where, 'the slash does not lead to the search');
  await page.keyboard.type('payment');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/search?q=payment');
  if (!(await page.textContent('main')).includes('paymentTimesOutAndIsRetried')) wrong(where, 'the search does not find a test');
  await context.close();
}

async function changeColours(site) {
  const where = `${site.name}, colours`;
  const { context, page } = await open(site, LOOKS[3]);
  await page.goto(`http://${site.address}/`);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.click('#theme');
  await page.click('#theme');
  const dark = await paper();
  if (light === dark) wrong(where, 'the button changes nothing');
  await page.goto(`http://${site.address}/ingest`);
  if ((await paper()) !== dark) wrong(where, 'they are forgotten on the next page');
  await context.close();
}
