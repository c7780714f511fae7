// Comfort for the pages, which are whole without it: colours that are remembered, times in words, charts that answer
// to the pointer, and what comes in without a reload.
(() => {
  'use strict';
  const root = document.documentElement;
  const remembered = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* it holds for this page */ } };

  // Before anything is painted.
  const themes = { auto: 'Auto', light: 'Light', dark: 'Dark' };
  let theme = remembered('theme') in themes ? remembered('theme') : 'auto';
  const dress = () => theme === 'auto' ? root.removeAttribute('data-theme') : root.setAttribute('data-theme', theme);
  dress();

  const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  const units = [['day', 86400], ['hour', 3600], ['minute', 60]];
  const ago = (seconds) => {
    const [unit, size] = units.find(([, size]) => seconds >= size) ?? ['minute', 60];
    return seconds < 60 ? 'just now' : words.format(-Math.floor(seconds / size), unit);
  };
  const tellTimes = () => {
    for (const time of document.querySelectorAll('time:not(.day)')) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      time.title ||= `${time.textContent} UTC`;
      if (seconds >= 0 && seconds < 30 * 86400) time.textContent = ago(seconds);
    }
  };

  const pointAt = () => {
    const tip = document.createElement('div');
    tip.className = 'tip';
    tip.hidden = true;
    tip.setAttribute('aria-hidden', 'true');
    document.body.append(tip);
    document.addEventListener('pointermove', (event) => {
      const part = event.target.closest?.('rect.part');
      tip.hidden = !part;
      if (!part) return;
      const title = part.querySelector('title');
      // The browser's own tip would come late and a second time.
      if (title) { part.dataset.says = title.textContent; title.remove(); }
      tip.textContent = part.dataset.says;
      const half = tip.offsetWidth / 2;
      const x = Math.min(Math.max(event.clientX, half + 8), innerWidth - half - 8);
      const above = event.clientY - tip.offsetHeight - 14;
      // A style set by a script is no inline style: the policy of the pages allows it.
      tip.style.left = `${x - half}px`;
      tip.style.top = `${above > 4 ? above : event.clientY + 18}px`;
    });
  };

  const EVERY = 15000;
  let following = remembered('live') !== 'off';
  let known;
  let asked = 0;
  const isBusy = () => {
    const main = document.querySelector('main');
    const selected = getSelection();
    return (main.contains(document.activeElement) && document.activeElement !== main)
      || (selected && !selected.isCollapsed) || document.querySelector('.menu[open]');
  };
  const say = (text) => { document.getElementById('status').textContent = text; };
  const follow = async () => {
    if (!following || document.hidden || isBusy()) return;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, { cache: 'no-cache', headers: { Accept: 'text/html' } });
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (text !== known) {
        const fresh = new DOMParser().parseFromString(text, 'text/html').querySelector('main');
        const open = [...document.querySelectorAll('main details')].map((one) => one.open);
        fresh.querySelectorAll('details').forEach((one, index) => { if (index in open) one.open = open[index]; });
        document.querySelector('main').replaceWith(fresh);
        tellTimes();
        if (known !== undefined) say(`Updated at ${new Date().toLocaleTimeString()}`);
      }
      known = text;
      if (document.getElementById('status').dataset.lost) { delete document.getElementById('status').dataset.lost; say(''); }
    } catch {
      document.getElementById('status').dataset.lost = 'yes';
      say('No answer: what is shown may be old. Trying again.');
    }
  };

  document.addEventListener('DOMContentLoaded', () => {
    tellTimes();
    setInterval(tellTimes, 30000);
    pointAt();
    document.querySelector('.tools').hidden = false;
    const button = document.getElementById('theme');
    const label = () => { button.lastElementChild.textContent = themes[theme]; button.setAttribute('aria-label', `Colours: ${themes[theme]}. Change`); };
    label();
    button.addEventListener('click', () => {
      const names = Object.keys(themes);
      theme = names[(names.indexOf(theme) + 1) % names.length];
      remember('theme', theme);
      dress();
      label();
    });
    const live = document.getElementById('live');
    if (!('live' in document.body.dataset)) live.hidden = true;
    else {
      live.setAttribute('aria-pressed', String(following));
      live.addEventListener('click', () => {
        following = !following;
        remember('live', following ? 'on' : 'off');
        live.setAttribute('aria-pressed', String(following));
        say(following ? 'Following what comes in' : 'Stopped following');
        if (following) follow();
      });
      setInterval(follow, EVERY);
      document.addEventListener('visibilitychange', () => { if (Date.now() - asked > EVERY) follow(); });
    }
    document.addEventListener('keydown', (event) => {
      const writes = event.target.closest?.('input, select, textarea');
      if (event.key === '/' && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        document.querySelector('.search input').focus();
      }
      const menu = document.querySelector('.menu[open]');
      if (event.key === 'Escape' && menu) { menu.open = false; menu.querySelector('summary').focus(); }
    });
    document.addEventListener('click', (event) => {
      const menu = document.querySelector('.menu[open]');
      if (menu && !menu.contains(event.target)) menu.open = false;
    });
  });
})();
